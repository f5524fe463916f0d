"""Decontamination: no training text may hold the problems that the model is judged by."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from underdog.text.ngrams import Hashes, WordHashes, ngram_hashes, split_tokens

NGRAM = 8
"""Tokens (words and single symbols) that must match in a row, as for PaLM (arXiv 2204.02311): prompts are
short."""

SHORTEST = 5
"""Tokens. A shorter item cannot be told from ordinary text, and is not looked for."""

_TEMPLATE = 0.01  # an n-gram in more than this share of the items (and in two) is their template's, not theirs


class HeldOut:
    """Held-out texts, made ready to be looked for in many documents.

    Items drawn from one template share most of their words. What a document may not hold is what tells an
    item from the others, so n-grams that many items share do not count; the template alone contaminates
    nothing. Where an item has nothing of its own, all of it counts.
    """

    def __init__(self, items: Mapping[str, str], n: int = NGRAM):
        self._word_hashes = WordHashes()
        tokens = {name: split_tokens(text) for name, text in items.items()}
        self.names = [name for name in tokens if len(tokens[name]) >= SHORTEST]
        self.too_short = len(tokens) - len(self.names)
        hashes = [self._word_hashes.of(tokens[name]) for name in self.names]
        self._sizes = [min(n, len(h)) for h in hashes]
        ngrams = [ngram_hashes(h, size) for h, size in zip(hashes, self._sizes, strict=True)]
        own = _own(ngrams, distinct_items=len({tuple(tokens[name]) for name in self.names}))
        self._lengths = [len(h) for h in hashes]
        self._coverable = [
            _covered(np.flatnonzero(mask), size, length)
            for mask, size, length in zip(own, self._sizes, self._lengths, strict=True)
        ]
        rows = [
            (int(ngram), item, position)
            for item, (found, mask) in enumerate(zip(ngrams, own, strict=True))
            for position, (ngram, counts) in enumerate(zip(found, mask, strict=True))
            if counts
        ]
        rows.sort()
        self._table = np.array([row[0] for row in rows], dtype=np.uint64)
        self._places = [(item, position) for _, item, position in rows]

    def worst(self, text: str) -> tuple[str, float] | None:
        """The item of which the text holds the largest share (0..1 of its own tokens), or None if it
        holds none."""
        hashes = self._word_hashes.of(split_tokens(text))
        found: dict[int, list[int]] = {}
        for size in sorted(set(self._sizes)):
            ngrams = np.unique(ngram_hashes(hashes, size))
            starts = np.searchsorted(self._table, ngrams, side="left")
            ends = np.searchsorted(self._table, ngrams, side="right")
            for hit in np.flatnonzero(ends > starts):
                for item, position in self._places[starts[hit] : ends[hit]]:
                    found.setdefault(item, []).append(position)
        if not found:
            return None
        shares = {
            item: _covered(np.array(positions), self._sizes[item], self._lengths[item]) / self._coverable[item]
            for item, positions in found.items()
        }
        item = min(shares, key=lambda item: (-shares[item], item))
        return self.names[item], shares[item]


def contaminated(texts: Iterable[str], held_out: HeldOut, share: float) -> list[str | None]:
    """For each text the name of the held-out item of which it holds more than `share`, or None."""
    worst = map(held_out.worst, texts)
    return [found[0] if found and found[1] > share else None for found in worst]


def _own(ngrams: list[Hashes], distinct_items: int) -> list[np.ndarray]:
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
