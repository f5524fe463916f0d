"""Texts in, counts out: the one door to the kernels."""

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.batch import Texts, buffers
from underdog.text.kernels.characters import DIGIT, END, LETTER, SPACE, UPPER, characters
from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.hashing import Table, lexicon
from underdog.text.kernels.lines import classify_lines, count_duplicates, count_kept, ends_well
from underdog.text.kernels.prose import count_prose
from underdog.text.kernels.repetition import count_repetition
from underdog.text.kernels.scan import HAS_LETTER, WORD, Lines, Tokens, decode, describe, find_lines
from underdog.text.kernels.tally import Tally
from underdog.text.kernels.words import split
from underdog.text.lexicons import BOILERPLATE, MATHEMATICAL, STOP_WORD, UNSAFE


class Counts:
    """Counts of a batch of texts: an int64 column (texts,) for each name of `Tally`, in lower case."""

    def __init__(self, values: NDArray[np.int64]):
        self.values = values  # (texts, len(Tally))

    def __getattr__(self, name: str) -> NDArray[np.int64]:
        try:
            return self.values[:, Tally[name.upper()]]
        except KeyError:
            raise AttributeError(name) from None

    def __len__(self) -> int:
        return len(self.values)


def count(texts: Texts) -> Counts:
    """Counts every text of a batch. Null counts as empty."""
    return count_with_words(texts)[0]


def count_with_words(texts: Texts) -> tuple[Counts, NDArray[np.int64], NDArray[np.uint64]]:
    """Counts, and the hashes of all words in lower case, marks left out: those of text i are
    `words[offsets[i] : offsets[i + 1]]`."""
    offsets, data = buffers(texts)
    most, total = _room(data, offsets)
    room = most + 2
    longest = int(np.diff(offsets).max(initial=0)) + 2
    values = np.zeros((len(offsets) - 1, len(Tally)), np.int64)
    word_offsets = np.zeros(len(offsets), np.int64)
    words = np.empty(total, np.uint64)
    _count_all(
        data, offsets, characters(), lexicon(), *_scratch(longest, room), _table(room), values, word_offsets, words
    )
    return Counts(values), word_offsets, words[: word_offsets[-1]]


def _scratch(longest: int, room: int):
    """Room for the characters of the longest text and for the tokens of the richest."""
    i4, u8 = np.int32, np.uint64
    codes, kinds = np.empty(longest, i4), np.empty(longest, np.uint8)
    tokens = Tokens(*(np.empty(room, t) for t in (i4, i4, u8, u8, np.uint16, np.uint32)))
    lines = Lines(*(np.empty(room, t) for t in (i4, i4, i4, i4, i4, np.bool_, u8, np.bool_)))
    return codes, kinds, tokens, lines, *(np.empty(room, t) for t in (i4, np.bool_, u8, i4, i4))


def _table(room: int) -> Table:
    size = 1 << (2 * room).bit_length()
    return Table(
        np.empty(size, np.uint64), np.zeros(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    )


@compiled
def _tokens_at_most(data, start, end):
    """A bound: letters and digits of ASCII go together; every other character may be a token and begin one."""
    found = 1
    for at in range(start, end):
        byte = data[at]
        plain = 48 <= byte <= 57 or 97 <= byte | 32 <= 122
        found += 2 * (not plain and byte & 0xC0 != 0x80)
    return found


@compiled
def _room(data, offsets):
    """Tokens at most of the richest text, and of all."""
    most = total = 0
    for text in range(len(offsets) - 1):
        found = _tokens_at_most(data, offsets[text], offsets[text + 1])
        most, total = max(most, found), total + found
    return most, total


@compiled
def _count_characters(codes, kinds, n, row):
    digits = opening = letters = visible = parts = newlines = stops = hashes = broken = 0
    inside = False
    for at in range(n):
        code, kind = codes[at], kinds[at]
        before, inside = inside, kind & (LETTER | DIGIT) > 0 or code == 95
        parts += inside and not before
        if kind & SPACE:
            newlines += code == 10
            digits = 0
            continue
        visible += 1
        if kind & LETTER:
            letters += 1
            digits = 0
            continue
        if kind & DIGIT:
            digits += 1
            row[Tally.LONG_NUMBERS] += digits == 13
            continue
        stops += code == 46 or code == 44
        hashes += code == 35
        broken += code == 0xFFFD or code < 32
        opening += (code == 40 or code == 91) - (code == 41 or code == 93)
        row[Tally.ELLIPSES] += code == 0x2026
        if code == 64 and 0 < at < n - 1:
            row[Tally.ADDRESSES] += kinds[at - 1] & kinds[at + 1] & LETTER > 0
        if code == 46 and at + 2 < n and codes[at + 1] == 46 and codes[at + 2] == 46:
            row[Tally.ELLIPSES] += at == 0 or codes[at - 1] != 46
    row[Tally.CHARACTERS], row[Tally.VISIBLE], row[Tally.LETTERS], row[Tally.PARTS] = n, visible, letters, parts
    row[Tally.NEWLINES], row[Tally.STOPS], row[Tally.HASHES], row[Tally.BROKEN] = newlines, stops, hashes, broken
    row[Tally.UNBALANCED] = abs(opening)


@compiled
def _count_words(tokens, n, row, words, at):
    """Returns where the next text's words begin."""
    listed = np.uint32(0)
    for index in range(n):
        flags, lists = tokens.flags[index], tokens.lists[index]
        row[Tally.WITH_LETTER] += flags & HAS_LETTER > 0
        row[Tally.BOILERPLATE] += lists & BOILERPLATE > 0
        row[Tally.UNSAFE] += lists & UNSAFE > 0
        row[Tally.MATHEMATICAL] += lists & MATHEMATICAL > 0
        if tokens.word[index] == tokens.exact[index]:  # Gopher's stop words are in lower case
            listed |= lists
        if flags & WORD:
            row[Tally.WORDS] += 1
            row[Tally.WORD_CHARACTERS] += tokens.length[index]
            words[at] = tokens.word[index]
            at += 1
    row[Tally.TOKENS] = n
    for bit in range(8):
        row[Tally.STOP_WORDS] += listed & np.uint32(STOP_WORD << bit) > 0
    return at


@compiled
def _count_ends(codes, kinds, lines, count, row):
    """How the document begins and ends."""
    if count:
        begin, end = lines.begin[0], lines.end[count - 1]
        row[Tally.BEGINS_SMALL] = kinds[begin] & (LETTER | UPPER) == LETTER and codes[begin] < 0x590
        row[Tally.ENDS_WELL] = ends_well(codes, kinds, begin, end)
        dots = end - begin > 2 and codes[end - 1] == codes[end - 2] == codes[end - 3] == 46
        row[Tally.CUT_OFF] = dots or codes[end - 1] == 0x2026 or codes[end - 1] == 58 or not kinds[end - 1] & END


@compiled
def _count_all(
    data, offsets, characters, lexicon,
    codes, kinds, tokens, lines, first, is_code, grams, places, sentences, table,
    values, word_offsets, words,
):  # fmt: skip
    generation, at = np.int64(0), np.int64(0)
    for text in range(len(offsets) - 1):
        row = values[text]
        n = decode(data, offsets[text], offsets[text + 1], characters.kind, codes, kinds)
        size, row[Tally.RUNS], row[Tally.SPELLED_RUNS] = split(codes, kinds, n, tokens.begin, tokens.length)
        describe(codes, kinds, characters.lower, lexicon, tokens, size)
        count = find_lines(codes, kinds, n, lines)
        last = 1
        while last < 2 * size:
            last *= 2
        last -= 1
        _count_characters(codes, kinds, n, row)
        _count_ends(codes, kinds, lines, count, row)
        at = _count_words(tokens, size, row, words, at)
        word_offsets[text + 1] = at
        classify_lines(codes, kinds, tokens, size, lines, count, first, is_code, row)
        generation = count_duplicates(codes, kinds, lines, count, table, generation, last, row)
        generation = count_kept(codes, kinds, tokens, lines, count, first, table, generation, last, row)
        generation = count_repetition(tokens, size, grams, sentences, places, table, generation, last, row)
        generation = count_prose(
            codes, tokens, size, lines, count, first, places, sentences, table, generation, last, row
        )
