"""Words, and n-grams of them as 64-bit hashes: what repetition, duplicates and decontamination share."""

import hashlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that multiplying by it loses nothing modulo 2^64


def split_words(text: str) -> list[str]:
    """Lower-case runs of letters, digits and underscores, in any script that writes spaces."""
    return _WORD.findall(text.lower())


def split_tokens(text: str) -> list[str]:
    """Words and single symbols: "3 + 5" differs from "3 - 5"."""
    return _TOKEN.findall(text.lower())


class WordHashes(dict[str, int]):
    """Remembers the 64-bit hash of every word it has seen. The same in every process, unlike hash()."""

    def __missing__(self, word: str) -> int:
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        value = self[word] = int.from_bytes(digest, "little")
        return value

    def of(self, words: Iterable[str]) -> Hashes:
        """One hash a word, shape (words,)."""
        return np.fromiter(map(self.__getitem__, words), dtype=np.uint64)


def ngram_hashes(hashes: Hashes, n: int) -> Hashes:
    """Hashes of all runs of `n` words, shape (words − n + 1,); fewer than `n` words give an empty array."""
    if len(hashes) < n:
        return hashes[:0]
    with np.errstate(over="ignore"):
        total = hashes[: len(hashes) - n + 1].copy()
        for i in range(1, n):
            total *= np.uint64(_FACTOR)
            total += hashes[i : len(hashes) - n + 1 + i]
    return total
