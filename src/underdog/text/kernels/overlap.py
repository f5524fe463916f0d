"""Runs of tokens that occur in a table of looked-for runs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.tokens import Tokens

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)
_BITS_A_KEY = 16  # of the filter that spares most look-ups


class Wanted(NamedTuple):
    """The hashes of all looked-for runs, sorted and without repeats, and a filter over them."""

    keys: NDArray[np.uint64]
    filter: NDArray[np.uint64]  # bits; a power of two of them
    sizes: NDArray[np.int64]  # lengths of the runs, ascending

    @classmethod
    def of(cls, keys: NDArray[np.uint64], sizes: list[int]) -> "Wanted":
        keys = np.unique(keys).astype(np.uint64)
        bits = max(64, 1 << (_BITS_A_KEY * len(keys) - 1).bit_length())
        filter_ = np.zeros(bits // 64, np.uint64)
        places = keys & np.uint64(bits - 1)
        np.bitwise_or.at(filter_, (places >> np.uint64(6)).astype(np.int64), np.uint64(1) << (places & np.uint64(63)))
        return cls(keys, filter_, np.array(sorted(sizes), np.int64))


def runs(hashes: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Hashes of all runs of `size` tokens, shape (tokens − size + 1,); fewer tokens give none."""
    return _runs(hashes, size)


def find(tokens: Tokens, wanted: Wanted) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(texts, keys): text i holds the run whose hash is `wanted.keys[k]`, for each pair of them; texts ascend."""
    if not len(wanted.keys):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    room = 1024
    while True:
        texts, keys = np.empty(room, np.int64), np.empty(room, np.int64)
        found = _find(tokens.offsets, tokens.hashes, *wanted, texts, keys)
        if found <= room:
            return texts[:found], keys[:found]
        room = found


@compiled
def _runs(hashes, size):
    """Σ h_i · F^(size − 1 − i), mixed: rolled along in two multiplications."""
    found = np.empty(max(0, len(hashes) - size + 1), np.uint64)
    oldest = np.uint64(1)  # F^size
    for _ in range(size):
        oldest *= _FACTOR
    value = np.uint64(0)
    for at in range(len(hashes)):
        value = value * _FACTOR + hashes[at]
        if at >= size:
            value -= hashes[at - size] * oldest
        if at >= size - 1:
            found[at - size + 1] = value ^ (value >> _SHIFT)
    return found


@compiled
def _find(offsets, hashes, keys, filter_, sizes, texts, found):
    last = np.uint64(64 * len(filter_) - 1)
    total = 0
    for text in range(len(offsets) - 1):
        for size in sizes:
            for value in _runs(hashes[offsets[text] : offsets[text + 1]], size):
                place = value & last
                if not (filter_[place >> np.uint64(6)] >> (place & np.uint64(63))) & np.uint64(1):
                    continue
                low, high = 0, len(keys)
                while low < high:
                    middle = (low + high) >> 1
                    if keys[middle] < value:
                        low = middle + 1
                    else:
                        high = middle
                if low < len(keys) and keys[low] == value:
                    if total < len(texts):
                        texts[total], found[total] = text, low
                    total += 1
    return total
