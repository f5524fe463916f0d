"""MinHash: small sketches of texts that are equal where the texts' runs of words are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.tokens import Tokens

SHINGLE = 5  # words
PERMUTATIONS = 128
_RECALL = 0.99  # of pairs exactly at the threshold
_SEED = 1
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


class Banding(NamedTuple):
    """So many bands of so many rows: texts that agree in all rows of one band are compared."""

    bands: int
    rows: int


def banding(threshold: float) -> Banding:
    """The most rows, hence fewest pairs to compare, that find a pair at the threshold with the wanted recall."""
    for rows in range(PERMUTATIONS, 1, -1):
        bands = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            return Banding(bands, rows)
    return Banding(PERMUTATIONS, 1)


def sketch(tokens: Tokens, how: Banding) -> NDArray[np.uint32]:
    """Keys of the bands (Broder 1997; banded as in Leskovec, Mining of Massive Datasets, 3.4), shape (texts, bands).

    Rows of texts without words are 0.
    """
    random = np.random.Generator(np.random.PCG64(_SEED))
    size = how.bands * how.rows
    factors = random.integers(0, 2**32, size, np.uint32) | np.uint32(1)
    addends = random.integers(0, 2**32, size, np.uint32)
    keys = np.zeros((len(tokens.offsets) - 1, how.bands), np.uint32)
    _sketch(tokens.offsets, tokens.hashes, tokens.words, factors, addends, how.rows, keys)
    return keys


def shingles(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The set of runs of five words, sorted; of a shorter text, the text itself."""
    return np.unique(_shingles(words))


@compiled
def jaccard(a, b):
    """Common members over all members of two sorted sets, 0..1."""
    i = j = common = 0
    while i < len(a) and j < len(b):
        common += a[i] == b[j]
        left, right = a[i] <= b[j], b[j] <= a[i]
        i += left
        j += right
    return common / max(1, len(a) + len(b) - common)


@compiled
def _shingles(words):
    size = min(SHINGLE, max(1, len(words)))
    found = np.empty(max(0, len(words) - size + 1), np.uint64)
    for start in range(len(found)):
        value = np.uint64(0)
        for offset in range(size):
            value = (value ^ words[start + offset]) * _FACTOR
            value ^= value >> _SHIFT
        found[start] = value
    return found


@compiled
def _sketch(offsets, hashes, is_word, factors, addends, rows, keys):
    lowest = np.empty(len(factors), np.uint32)
    for text in range(len(offsets) - 1):
        start, stop = offsets[text], offsets[text + 1]
        found = _shingles(hashes[start:stop][is_word[start:stop]])
        if not len(found):
            continue
        lowest[:] = np.uint32(0xFFFFFFFF)
        for shingle in found:
            part = np.uint32(shingle >> _SHIFT)
            for k in range(len(factors)):
                lowest[k] = min(lowest[k], np.uint32(factors[k] * part + addends[k]))
        for band in range(keys.shape[1]):
            value = np.uint64(band + 1)
            for row in range(band * rows, (band + 1) * rows):
                value = (value ^ np.uint64(lowest[row])) * _FACTOR
                value ^= value >> _SHIFT
            keys[text, band] = np.uint32(value)


@compiled
def share_a_band(groups, last, before, shared):
    """The kept texts that are in one of these groups, in no order; `shared` then holds how many groups each shares.

    `last` has the newest kept text of each group, `before` the one before it: (texts, bands).
    """
    room, total = 64, 0
    found = np.empty(room, np.int64)
    for band in range(len(groups)):
        if groups[band] < 0:
            continue
        text = last[groups[band]]
        while text >= 0:
            if shared[text] == 0:
                if total == room:
                    room *= 2
                    larger = np.empty(room, np.int64)
                    larger[:total] = found
                    found = larger
                found[total] = text
                total += 1
            shared[text] += 1
            text = before[text, band]
    return np.sort(found[:total])
