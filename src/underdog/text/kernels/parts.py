"""Lines and paragraphs of texts: where each begins and ends, and its hash."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.batch import Texts, buffers
from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.hashing import follow

_LINE_FEED, _SPACE = 10, 32


class Parts(NamedTuple):
    """Parts of the texts of a batch, in their order; those that are too short are left out."""

    rows: NDArray[np.int64]  # the text that each is in
    hashes: NDArray[np.uint64]  # without the white space around the part
    begins: NDArray[np.int64]  # its first byte, counted from its text's first
    ends: NDArray[np.int64]  # the byte after the line ends behind it


def find_parts(texts: Texts, by_line: bool, shortest: int) -> Parts:
    """The lines, or the paragraphs between blank lines, of at least `shortest` characters, white space around them not
    counted."""
    offsets, data = buffers(texts)
    room = int(offsets[-1] - offsets[0]) // max(1, shortest) + 1
    parts = Parts(*(np.empty(room, kind) for kind in (np.int64, np.uint64, np.int64, np.int64)))
    found = _find_parts(data, offsets, by_line, shortest, *parts)
    return Parts(*(column[:found] for column in parts))


@compiled
def _find_parts(data, offsets, by_line, shortest, rows, hashes, begins, ends):
    found = 0
    for text in range(len(offsets) - 1):
        first, stop = offsets[text], offsets[text + 1]
        at = first
        while at < stop:
            begin, characters, length = at, 0, 0
            hashed = value = np.uint64(0)
            blank = True  # the line so far
            while at < stop:
                byte = data[at]
                at += 1
                if byte == _LINE_FEED:
                    if by_line or blank:
                        break
                    blank = True
                visible = byte > _SPACE
                blank &= not visible
                if visible or length:
                    characters += byte & 0xC0 != 0x80
                    value = follow(value, np.uint64(byte))
                if visible:
                    hashed, length = value, characters
            if length >= shortest:
                rows[found], hashes[found], begins[found], ends[found] = text, hashed, begin - first, at - first
                found += 1
            elif not length and not by_line and found and rows[found - 1] == text and ends[found - 1] == begin - first:
                ends[found - 1] = at - first  # one more blank line
    return found
