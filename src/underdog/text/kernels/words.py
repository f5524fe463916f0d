"""Where the words of a text begin and end.

They are split where spaCy's rules for English split them (white space, punctuation before and behind, hyphens and
slashes between letters, contractions), because the published rules were set on such words. Inner functions take numbers
and no arrays (scan.py says why).
"""

import numpy as np

from underdog.text.kernels.characters import DIGIT, END, LETTER, MARK, QUOTE, SINGLE, SPACE, UPPER
from underdog.text.kernels.compiled import compiled

_DOT, _HYPHEN, _APOSTROPHE, _CURLY = 46, 45, 39, 0x2019


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
