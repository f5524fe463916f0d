"""From bytes to characters, words and lines: the first passes over a document.

Words are split where spaCy's rules for English split them (white space, punctuation before and behind, hyphens and
slashes between letters, contractions), because the published rules were set on such words.

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
_LINE_FEED, _DOT, _HYPHEN, _APOSTROPHE, _CURLY = 10, 46, 45, 39, 0x2019


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
def _goes_before(code, kind):
    """Split off before a word: opening marks, quotes, currency."""
    if kind & (LETTER | DIGIT) or 45 <= code <= 47:  # - . /
        return False
    if kind & (QUOTE | MARK | END) or code > 0x2BF:
        return True
    return 35 <= code <= 38 or code == 42 or code == 61 or code == 95 or code == 0xA3 or code == 0xA7  # #$%& * = _ £ §


@compiled
def _goes_behind(code, kind, kind_before):
    """Split off behind a word: closing marks, and a full stop unless it belongs to an initial."""
    if code == _DOT:
        return kind_before & (LETTER | UPPER) == LETTER or kind_before & (DIGIT | QUOTE | MARK) > 0
    if kind & (LETTER | DIGIT) or code == _HYPHEN or code == 47:
        return False
    if code == 36 or code == 37 or code == 43:  # $ % +
        return kind_before & DIGIT > 0
    return kind & (QUOTE | MARK | END) > 0 or code == 35 or code == 38 or code == 42 or code == 95 or code > 0x2BF


@compiled
def _is_infix(code, before, left, after, right):
    """Whether a character between two others is a token of its own; `left` and `right` are their kinds."""
    if (
        code == _HYPHEN
        or code == 0x2013
        or code == 0x2014
        or code == 126
        or code == 58
        or code == 47
        or 60 <= code <= 62
    ):
        return left & (LETTER | DIGIT) > 0 and right & LETTER > 0  # - – — ~ : / < = >
    if code == 44:
        return left & LETTER > 0 and right & LETTER > 0
    if code == _DOT:
        if before == _DOT or after == _DOT:
            return True
        return left & (LETTER | UPPER) == LETTER and right & UPPER > 0
    if code == 43 or code == 42 or code == 94:  # + * ^
        return left & DIGIT > 0 and right & DIGIT > 0
    return code == 0x2026


@compiled
def split(codes, kinds, n, begin, length):
    """Fills the places of the tokens; returns how many there are, of how many runs, and how many of these are words:
    letters within the marks of prose."""
    tokens = runs = spelled_runs = at = 0
    while at < n:
        if kinds[at] & SPACE:
            at += 1
            continue
        end, together, any_ = at, np.uint8(0xFF), np.uint8(0)
        while end < n and not kinds[end] & SPACE:
            together &= kinds[end]
            any_ |= kinds[end]
            end += 1
        runs += 1
        if together & LETTER and not any_ & SINGLE:  # nothing to split off, as with most
            begin[tokens], length[tokens] = at, end - at
            tokens, spelled_runs, at = tokens + 1, spelled_runs + 1, end
            continue
        low, high = at, end
        while low < high - 1 and (
            _goes_before(codes[low], kinds[low]) or (codes[low] == _DOT and codes[low + 1] == _DOT)
        ):
            stop = low + 1
            while codes[low] == _DOT and stop < high and codes[stop] == _DOT:
                stop += 1
            begin[tokens], length[tokens] = low, stop - low
            tokens += 1
            low = stop
        while high - 1 > low and _goes_behind(codes[high - 1], kinds[high - 1], kinds[high - 2]):
            high -= 1
        tail = high

        address = high - low > 9 and (  # http://…, www.…
            codes[low] == codes[low + 1] == codes[low + 2] == 119 and codes[low + 3] == _DOT
        )
        spelled = low < high
        for place in range(low, high):
            if not kinds[place] & LETTER:
                spelled &= low < place < high - 1 and codes[place] in (_HYPHEN, _APOSTROPHE, _CURLY)
                if codes[place] == 58 and place + 3 < high and codes[place + 1] == codes[place + 2] == 47:
                    address = place < low + 8
        spelled_runs += spelled

        place = low
        while place < high and not address:
            single = kinds[place] & SINGLE > 0
            if single or (
                low < place < high - 1
                and not kinds[place] & (LETTER | DIGIT)
                and _is_infix(codes[place], codes[place - 1], kinds[place - 1], codes[place + 1], kinds[place + 1])
            ):
                if low < place:
                    begin[tokens], length[tokens] = low, place - low
                    tokens += 1
                stop = place + 1
                while not single and stop < high and codes[stop] == codes[place] and codes[place] in (_DOT, _HYPHEN):
                    stop += 1
                begin[tokens], length[tokens] = place, stop - place
                tokens += 1
                low = place = stop
            else:
                place += 1

        if low < high:
            cut = high
            if not address and high - low > 2:
                last, two, three = codes[high - 1] | 32, codes[high - 2], codes[high - 3]
                if two == _APOSTROPHE or two == _CURLY:  # noqa: SIM109
                    if last == 116 and three | 32 == 110:  # n't
                        cut = high - 3 if high - low > 3 else high
                    elif last == 115 or last == 100 or last == 109:  # 's 'd 'm
                        cut = high - 2
                elif (three == _APOSTROPHE or three == _CURLY) and high - low > 3:  # noqa: SIM109
                    two |= 32
                    if (last == 108 and two == 108) or (last == 101 and (two == 118 or two == 114)):  # 'll 've 're
                        cut = high - 3
            begin[tokens], length[tokens] = low, cut - low
            tokens += 1
            if cut < high:
                begin[tokens], length[tokens] = cut, high - cut
                tokens += 1
        while tail < end:
            stop = tail + 1
            while codes[tail] == _DOT and stop < end and codes[stop] == _DOT:
                stop += 1
            begin[tokens], length[tokens] = tail, stop - tail
            tokens += 1
            tail = stop
        at = end
    return tokens, runs, spelled_runs


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
