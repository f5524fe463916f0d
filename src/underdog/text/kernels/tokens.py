"""Words and single symbols as hashes: what duplicates and decontamination compare."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.batch import Texts, buffers
from underdog.text.kernels.characters import DIGIT, LETTER, SINGLE, SPACE, characters
from underdog.text.kernels.compiled import compiled

_UNDERSCORE = 95
_PRIME = np.uint64(0x100000001B3)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class Tokens(NamedTuple):
    """Those of text i are at `offsets[i] : offsets[i + 1]`."""

    offsets: NDArray[np.int64]  # (texts + 1,)
    hashes: NDArray[np.uint64]  # (tokens,): of the lower case; the same in every process
    words: NDArray[np.bool_]  # (tokens,): a word, not a symbol

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many tokens each text has."""
        return np.diff(self.offsets)

    def of(self, text: int) -> NDArray[np.uint64]:
        return self.hashes[self.offsets[text] : self.offsets[text + 1]]

    def words_of(self, text: int) -> NDArray[np.uint64]:
        return self.of(text)[self.words[self.offsets[text] : self.offsets[text + 1]]]


def hash_tokens(texts: Texts) -> Tokens:
    """Runs of letters, digits and underscores, and every other visible character: "3 + 5" differs from "3 - 5".

    Letters of scripts that put no spaces between words are words of their own.
    """
    offsets, data = buffers(texts)
    room = int(offsets[-1] - offsets[0])
    hashes, words = np.empty(room, np.uint64), np.empty(room, np.bool_)
    found = np.zeros(len(offsets), np.int64)
    kinds, lower = characters()
    total = _hash_tokens(data, offsets, kinds, lower, found, hashes, words)
    return Tokens(found, hashes[:total].copy(), words[:total].copy())


@compiled
def _hash_tokens(data, offsets, kinds, lower, found, hashes, words):
    total = 0
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        inside, value = False, np.uint64(0)
        while at < end:
            code = np.int64(data[at])
            at += 1
            if code >= 0x80:  # Arrow holds well-formed UTF-8
                size = 1 if code < 0xE0 else 2 if code < 0xF0 else 3
                code &= 0x3F >> size
                for offset in range(size):
                    code = (code << 6) | (np.int64(data[at + offset]) & 0x3F)
                at += size
            if code < 0x10000:
                kind = kinds[code]
            else:
                kind = np.uint8(LETTER | SINGLE if 0x20000 <= code < 0x40000 else 0)
            if (kind & (LETTER | DIGIT) and not kind & SINGLE) or code == _UNDERSCORE:
                small = lower[code] if code < 0x10000 else code
                value = (value ^ np.uint64(small)) * _PRIME + np.uint64(1)
                inside = True
                continue
            if inside:
                hashes[total], words[total] = (value ^ (value >> _SHIFT)) * _FACTOR, True
                total += 1
                inside, value = False, np.uint64(0)
            if not kind & SPACE and code > 32:
                value = (np.uint64(code) + np.uint64(7)) * _FACTOR
                hashes[total], words[total] = value ^ (value >> _SHIFT), kind & SINGLE > 0
                total += 1
                value = np.uint64(0)
        if inside:
            hashes[total], words[total] = (value ^ (value >> _SHIFT)) * _FACTOR, True
            total += 1
        found[text + 1] = total
    return total
