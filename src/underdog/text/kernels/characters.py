"""What the kernels know about characters: one byte of properties and the lower case of each, up to U+FFFF."""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LETTER, UPPER, DIGIT, SPACE, MARK, QUOTE, END, SINGLE = (1 << bit for bit in range(8))
"""MARK: what prose is punctuated with. QUOTE: brackets and quotation marks. END: ends a sentence. SINGLE: a letter of a
script that puts no spaces between words (Han, kana, Thai, …) and counts as a word of its own."""

_ENDS = ".!?…。！？।؟۔։።"
_MARKS = ".,;:!?()\"'’“”«»‘„–—-、。，！？；：…"
_QUOTES = "\"'“”„‘’«»()[]{}<>「」『』（）《》〈〉【】`´"
_NO_SPACES = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007))
_NO_SPACES += ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF))


class Characters(NamedTuple):
    kind: NDArray[np.uint8]  # (65536,)
    lower: NDArray[np.uint16]  # (65536,)


@functools.cache
def characters() -> Characters:
    """Built in about 0.1 s. Beyond U+FFFF the kernels take U+20000 to U+3FFFF for Han and the rest for symbols."""
    kind = np.zeros(1 << 16, np.uint8)
    lower = np.arange(1 << 16, dtype=np.uint16)
    for code in range(1 << 16):
        char = chr(code)
        category = unicodedata.category(char)
        if category[0] in "LM":
            kind[code] |= LETTER
            if category in ("Lu", "Lt"):
                kind[code] |= UPPER
                small = char.lower()
                lower[code] = ord(small) if len(small) == 1 else code
        elif category[0] == "N":
            kind[code] |= DIGIT
        elif char.isspace():
            kind[code] |= SPACE
    for chars, flag in ((_MARKS, MARK), (_QUOTES, QUOTE), (_ENDS, END)):
        kind[[ord(char) for char in chars]] |= flag
    for first, last in _NO_SPACES:
        part = kind[first : last + 1]
        part[(part & LETTER) > 0] |= SINGLE
    return Characters(kind, lower)
