"""Decontamination: no training text may hold the problems that the model is judged by."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.overlap import Wanted, find, runs
from underdog.text.kernels.tokens import Tokens, hash_tokens

NGRAM = 8
"""Tokens (words and single symbols) that must match in a row, as for PaLM (arXiv 2204.02311): prompts are
short."""

SHORTEST = 5
"""Tokens. A shorter item cannot be told from ordinary text, and is not looked for."""

_TEMPLATE = 0.01  # an n-gram in more than this share of the items (and in two) is their template's, not theirs


class Overlap(NamedTuple):
    """The item of which a text holds the largest share, 0..1 of the item's own tokens."""

    item: str
    share: float


class HeldOut:
    """Held-out texts, made ready to be looked for in many documents. Small, and can be pickled.

    Items drawn from one template share most of their words. What a document may not hold is what tells an
    item from the others, so n-grams that many items share do not count; the template alone contaminates
    nothing. Where an item has nothing of its own, all of it counts.
    """

    def __init__(self, items: Mapping[str, str], n: int = NGRAM):
        tokens = hash_tokens(list(items.values()))
        all_hashes = {name: tokens.of(number) for number, name in enumerate(items)}
        self.names = [name for name in items if len(all_hashes[name]) >= SHORTEST]
        self.too_short = len(items) - len(self.names)
        hashes = [all_hashes[name] for name in self.names]
        self._sizes = np.minimum(n, np.array([len(h) for h in hashes], np.int64))
        ngrams = [runs(h, size) for h, size in zip(hashes, self._sizes.tolist(), strict=True)]
        own = _own(ngrams, distinct_items=len({h.tobytes() for h in hashes}))
        looked_for = [found[mask] for found, mask in zip(ngrams, own, strict=True)]
        everything = np.concatenate(looked_for) if looked_for else np.zeros(0, np.uint64)
        items = np.repeat(np.arange(len(own)), [len(found) for found in looked_for])
        positions = np.concatenate([np.flatnonzero(mask) for mask in own]) if own else np.zeros(0, np.int64)
        self._coverable = _covered(items, positions, self._sizes[items])[1]
        order = np.argsort(everything, kind="stable")
        self._wanted = Wanted.of(everything, sorted(set(self._sizes.tolist())))
        self._items, self._positions = items[order], positions[order]
        self._starts = np.append(np.searchsorted(everything[order], self._wanted.keys), len(everything))

    def overlaps(self, tokens: Tokens) -> list[Overlap | None]:
        """For each text what it holds most of; None if it holds nothing."""
        found: list[Overlap | None] = [None] * len(tokens.counts)
        inside, keys = find(tokens, self._wanted)
        if not len(inside):
            return found
        inside, keys = np.divmod(np.unique(inside * len(self._wanted.keys) + keys), len(self._wanted.keys))
        counts = self._starts[keys + 1] - self._starts[keys]
        before = np.cumsum(counts) - counts
        places = np.repeat(self._starts[keys] - before, counts) + np.arange(counts.sum())  # of each key all its items
        items, positions = self._items[places], self._positions[places]
        pairs = np.repeat(inside, counts) * len(self.names) + items
        order = np.lexsort((positions, pairs))
        pairs, covered = _covered(pairs[order], positions[order], self._sizes[items[order]])
        texts, items = np.divmod(pairs, len(self.names))
        shares = covered / self._coverable[items]
        best = np.lexsort((items, -shares, texts))
        for pair in best[np.unique(texts[best], return_index=True)[1]].tolist():
            found[texts[pair]] = Overlap(self.names[items[pair]], float(shares[pair]))
        return found


def _covered(
    holders: NDArray[np.int64], positions: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(holders, tokens): how many tokens lie in one of a holder's n-grams, each `sizes` long from `positions` on.

    Holders ascend, positions ascend within each.
    """
    names, first = np.unique(holders, return_index=True)
    new = np.minimum(sizes, np.diff(positions, prepend=0))
    new[first] = sizes[first]
    return names, np.add.reduceat(new, first) if len(first) else first


def _own(ngrams: list[np.ndarray], distinct_items: int) -> list[np.ndarray]:
    """For each item a mask of its n-grams that are not its template's; all of them if it has no others."""
    frequency = Counter(ngram for found in {tuple(f.tolist()) for f in ngrams} for ngram in set(found))
    most = max(1, int(_TEMPLATE * distinct_items))
    masks = [np.array([frequency[ngram] <= most for ngram in found.tolist()]) for found in ngrams]
    return [mask if mask.any() else ~mask for mask in masks]
