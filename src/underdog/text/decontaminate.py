"""Decontamination: no training text may hold the problems that the model is judged by."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

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
        self._lengths = [len(h) for h in hashes]
        self._sizes = [min(n, length) for length in self._lengths]
        ngrams = [runs(h, size) for h, size in zip(hashes, self._sizes, strict=True)]
        own = _own(ngrams, distinct_items=len({h.tobytes() for h in hashes}))
        self._coverable = [
            _covered(np.flatnonzero(mask), size, length)
            for mask, size, length in zip(own, self._sizes, self._lengths, strict=True)
        ]
        looked_for = [found[mask] for found, mask in zip(ngrams, own, strict=True)]
        everything = np.concatenate(looked_for) if looked_for else np.zeros(0, np.uint64)
        items_of = np.repeat(np.arange(len(own)), [len(found) for found in looked_for])
        positions = np.concatenate([np.flatnonzero(mask) for mask in own]) if own else np.zeros(0, np.int64)
        order = np.argsort(everything, kind="stable")
        self._wanted = Wanted.of(everything, sorted(set(self._sizes)))
        self._items, self._positions = items_of[order], positions[order]
        self._starts = np.append(np.searchsorted(everything[order], self._wanted.keys), len(everything))

    def overlaps(self, tokens: Tokens) -> list[Overlap | None]:
        """For each text what it holds most of; None if it holds nothing."""
        inside, keys = find(tokens, self._wanted)
        found: list[Overlap | None] = [None] * len(tokens.counts)
        for text in np.unique(inside).tolist():
            found[text] = self._worst(np.unique(keys[inside == text]))
        return found

    def _worst(self, keys: np.ndarray) -> Overlap:
        places = np.concatenate([np.arange(self._starts[key], self._starts[key + 1]) for key in keys])
        shares = {}
        for item in np.unique(self._items[places]).tolist():
            positions = self._positions[places[self._items[places] == item]]
            covered = _covered(positions, self._sizes[item], self._lengths[item])
            shares[item] = covered / self._coverable[item]
        item = min(shares, key=lambda item: (-shares[item], item))
        return Overlap(self.names[item], shares[item])


def _own(ngrams: list[np.ndarray], distinct_items: int) -> list[np.ndarray]:
    """For each item a mask of its n-grams that are not its template's; all of them if it has no others."""
    frequency = Counter(ngram for found in {tuple(f.tolist()) for f in ngrams} for ngram in set(found))
    most = max(1, int(_TEMPLATE * distinct_items))
    masks = [np.array([frequency[ngram] <= most for ngram in found.tolist()]) for found in ngrams]
    return [mask if mask.any() else ~mask for mask in masks]


def _covered(positions: np.ndarray, size: int, length: int) -> int:
    """Tokens of an item that lie in one of the n-grams of `size` at these positions."""
    inside = np.zeros(length, bool)
    for offset in range(size):
        inside[positions + offset] = True
    return int(inside.sum())
