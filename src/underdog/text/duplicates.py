"""Exact and near-duplicates. The first of a set of equals stays: the order of the sources decides which."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from underdog.text.kernels.sketch import banding, jaccard, share_a_band, shingles, sketch
from underdog.text.kernels.tokens import Tokens, hash_tokens

_MOST_COMPARED = 64
"""Kept texts that one text is compared with, those that share most bands: thousands of variations of one page, just
below the threshold, are not all compared with each other."""


def exact_keys(tokens: Tokens) -> list[bytes]:
    """16 bytes a text that are equal for texts that are equal but for case and white space."""
    return [hashlib.blake2b(tokens.of(text), digest_size=16).digest() for text in range(len(tokens.counts))]


def exact_duplicates(keys: Sequence[bytes] | pa.Array | pa.ChunkedArray) -> list[int | None]:
    """For each key the index of the first that is equal; None for the first itself."""
    array = pa.chunked_array([pa.array(keys)]) if isinstance(keys, Sequence) else keys
    if not len(array):
        return []
    codes = array.combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.unique(codes, return_index=True)[1][codes]
    return [None if kept == index else kept for index, kept in enumerate(first.tolist())]


def band_keys(tokens: Tokens, threshold: float) -> NDArray[np.uint32]:
    """Keys by which texts that are alike find each other, shape (texts, bands); 0 for texts without words."""
    return sketch(tokens, banding(threshold))


def alike(keys: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Indices of the texts that share a band with another, ascending; `keys` are those of `band_keys`."""
    found = np.zeros(len(keys), bool)
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band], kind="stable")
        ordered = keys[order, band]
        same = (ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)
        found[order[1:][same]] = True
        found[order[:-1][same]] = True
    return np.flatnonzero(found)


def near_duplicates(
    keys: NDArray[np.uint32], batches: Iterable[pa.LargeStringArray], threshold: float
) -> list[int | None]:
    """For each text the index of an earlier, kept text that it resembles; None for one that is kept itself.

    Two texts resemble each other when the Jaccard similarity of their sets of word 5-grams is at least
    `threshold` (0..1). MinHash LSH (Broder 1997) proposes pairs, the sets themselves decide. Every text
    that goes resembles one that stays: likeness is not passed on along chains, which would empty a corpus
    of variations. `batches` bring the texts in order; a batch, and what is in a temporary file, is all that is
    kept of them.
    """
    groups = _groups(keys)
    last = np.full(int(groups.max(initial=-1)) + 1, -1, np.int32)  # of the kept texts of a group
    before = np.full(groups.shape, -1, np.int32)
    shared = np.zeros(len(keys), np.int32)
    found: list[int | None] = []
    with tempfile.TemporaryFile() as file:
        spilled = _Spilled(file)
        for index, own in enumerate(_sets(batches)):
            near = share_a_band(groups[index], last, before, shared) if len(own) else np.zeros(0, np.int64)
            near = near[np.argsort(-shared[near], kind="stable")]
            candidates = np.sort(near[:_MOST_COMPARED]).tolist()
            shared[near] = 0
            found.append(next((kept for kept in candidates if jaccard(own, spilled[kept]) >= threshold), None))
            if found[-1] is None and (groups[index] >= 0).any():
                spilled[index] = own
                for band in np.flatnonzero(groups[index] >= 0):
                    before[index, band] = last[groups[index, band]]
                    last[groups[index, band]] = index
    return found


class _Spilled:
    """Arrays of hashes that wait on disk, by number."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._places: dict[int, tuple[int, int]] = {}
        self._end = 0

    def __setitem__(self, number: int, hashes: NDArray[np.uint64]) -> None:
        self._places[number] = self._end, hashes.nbytes
        os.pwrite(self._file.fileno(), hashes.tobytes(), self._end)
        self._end += hashes.nbytes

    def __getitem__(self, number: int) -> NDArray[np.uint64]:
        place, size = self._places[number]
        return np.frombuffer(os.pread(self._file.fileno(), size, place), np.uint64)


def _sets(batches: Iterable[pa.LargeStringArray]) -> Iterator[NDArray[np.uint64]]:
    for texts in batches:
        tokens = hash_tokens(texts)
        yield from (shingles(tokens.words_of(text)) for text in range(len(texts)))


def _groups(keys: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Numbers of the texts' groups by band, as shape of `keys`: equal where the keys are; -1 where no other has it."""
    groups = np.full(keys.shape, -1, np.int32)
    total = 0
    for band in range(keys.shape[1]):
        _, inverse, counts = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        numbers = np.where(counts > 1, np.cumsum(counts > 1) - 1 + total, -1).astype(np.int32)
        groups[:, band] = np.where(keys[:, band] == 0, -1, numbers[inverse])
        total += int((counts > 1).sum())
    return groups
