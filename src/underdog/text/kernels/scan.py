"""From bytes to characters and lines, and what there is to say of each token: the first passes over a document.

Inner functions take numbers and no arrays: numba counts references to arrays at each call, which costs more than the
work.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.characters import DIGIT, END, LETTER, MARK, QUOTE, SINGLE, SPACE, UPPER
from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.hashing import follow, look_up
from underdog.text.lexicons import BEGINS

WORD, HAS_LETTER, SPELLED, CAPITAL, HAS_DIGIT, SHOUTED, ENDS, CODE, STARTS, QUOTE_MARK, UNCASED, NAME = (
    1 << bit for bit in range(12)
)
"""Flags of a token. WORD: not punctuation alone. SPELLED: letters alone. ENDS: a mark that ends sentences. CODE: has
what prose has not. STARTS: after white space. UNCASED: begins with a letter of a script without capitals. NAME: may be
prose, but looks like a name or a call in code."""

_LONGEST_LISTED = 24  # characters; no list holds a longer word
_LINE_FEED = 10


class Tokens(NamedTuple):
    begin: NDArray[np.int32]  # the first character
    length: NDArray[np.int32]  # characters
    word: NDArray[np.uint64]  # hash of the lower-case form
    exact: NDArray[np.uint64]  # hash as written
    flags: NDArray[np.uint16]
    lists: NDArray[np.uint32]  # of the lexicon


class Lines(NamedTuple):
    """The lines that are not blank, without the white space around them."""

    begin: NDArray[np.int32]  # the first character
    end: NDArray[np.int32]  # the character after the last
    symbols: NDArray[np.int32]  # characters that are neither letters nor marks of prose
    runs: NDArray[np.int32]  # between white space
    longest: NDArray[np.int32]  # run, in characters
    braces: NDArray[np.bool_]  # holds "{"
    hash: NDArray[np.uint64]
    after_blank: NDArray[np.bool_]


@compiled
def decode(data, start, end, table, codes, kinds):
    """UTF-8 to code points and their kinds; returns how many. What is no UTF-8 becomes U+FFFD."""
    at, n = start, 0
    while at < end:
        code = np.int32(data[at])
        at += 1
        if code >= 0x80:
            size = 1 if code < 0xE0 else 2 if code < 0xF0 else 3  # bytes that follow
            if code < 0xC2 or code > 0xF4 or at + size > end:
                code = np.int32(0xFFFD)
            else:
                code &= 0x3F >> size
                for offset in range(size):
                    code = (code << 6) | (np.int32(data[at + offset]) & 0x3F)
                at += size
        codes[n] = code
        if code < 0x10000:
            kinds[n] = table[code]
        else:
            kinds[n] = LETTER | SINGLE if 0x20000 <= code < 0x40000 else 0
        n += 1
    return n


@compiled
def find_lines(codes, kinds, n, lines):
    """Fills `lines`; returns how many are not blank."""
    found = run = symbols = runs = longest = end = 0
    inside = blank = braces = False
    hashed = np.uint64(0)
    for at in range(n + 1):
        code, kind = (codes[at], kinds[at]) if at < n else (np.int32(_LINE_FEED), np.uint8(SPACE))
        if kind & SPACE:
            run = 0
            if code == _LINE_FEED:
                if inside:
                    lines.end[found], lines.hash[found] = end, hashed
                    lines.symbols[found], lines.braces[found] = symbols, braces
                    lines.runs[found], lines.longest[found] = runs, longest
                    found += 1
                blank = not inside
                inside = False
            continue
        if not inside:
            lines.begin[found], lines.after_blank[found] = at, blank
            symbols = runs = longest = 0
            hashed, inside, braces = np.uint64(0), True, False
        run += 1
        if run == 1:
            runs += 1
            hashed = follow(hashed, np.uint64(32))
        hashed = follow(hashed, np.uint64(code))
        longest = max(longest, run)
        end = at + 1
        if not kind & (LETTER | MARK):
            symbols += 1
            braces |= code == 123
    return found


@compiled
def describe(codes, kinds, lower, lexicon, tokens, n):
    """Hashes, flags and lists of `n` tokens."""
    for index in range(n):
        low = tokens.begin[index]
        size = tokens.length[index]
        word = exact = np.uint64(0)
        together, any_ = np.uint8(0xFF), np.uint8(0)
        capitals = underscores = 0
        wordlike = code_like = name_like = False
        for at in range(low, low + size):
            code, kind = codes[at], kinds[at]
            together &= kind
            any_ |= kind
            exact = follow(exact, np.uint64(code))
            if kind & UPPER:
                capitals += 1
                code = np.int32(lower[code])
            word = follow(word, np.uint64(code))
            if not kind & LETTER:
                wordlike |= code >= 0x80 and kind == 0
                code_like |= code == 92 or 123 <= code <= 126 or code == 94  # \ {|}~ ^
                underscores += code == 95
                name_like |= code == 61 or (at > low and (code == 40 or code == 91))  # = anywhere; ( and [ after a name
        first = kinds[low]
        flags = 0
        if wordlike or any_ & (LETTER | DIGIT):
            flags |= WORD
        if any_ & LETTER:
            flags |= HAS_LETTER
        if together & LETTER:
            flags |= SPELLED
        if first & UPPER:
            flags |= CAPITAL
        if first & LETTER and codes[low] >= 0x590:
            flags |= UNCASED
        if any_ & DIGIT:
            flags |= HAS_DIGIT
        if capitals > 1 and capitals == size:
            flags |= SHOUTED
        if first & END and not flags & WORD:
            flags |= ENDS
        if code_like or underscores > 2 or (name_like and not flags & WORD):
            flags |= CODE
        if name_like or underscores:
            flags |= NAME
        if low == 0 or kinds[low - 1] & SPACE:
            flags |= STARTS
        if first & QUOTE and not flags & WORD:
            flags |= QUOTE_MARK
        tokens.word[index], tokens.exact[index], tokens.flags[index] = word, exact, flags
        tokens.lists[index] = look_up(lexicon.keys, lexicon.masks, word) if size <= _LONGEST_LISTED else 0
    for index in range(n - 1):
        if tokens.lists[index] & BEGINS:  # the first word of a phrase gets the phrase's lists, too
            pair = follow(tokens.word[index], tokens.word[index + 1])
            found = look_up(lexicon.keys, lexicon.masks, pair)
            if index + 2 < n:
                found |= look_up(lexicon.keys, lexicon.masks, follow(pair, tokens.word[index + 2]))
            tokens.lists[index] |= found
