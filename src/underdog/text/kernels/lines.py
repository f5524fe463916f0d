"""Counts of lines and paragraphs: code, lists, duplicates, and what C4's rules keep (arXiv 1910.10683)."""

import numpy as np

from underdog.text.kernels.characters import DIGIT, END, LETTER
from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.hashing import follow, place_of
from underdog.text.kernels.scan import CODE, ENDS, NAME, WORD
from underdog.text.kernels.tally import Tally
from underdog.text.lexicons import BLOCK, JAVASCRIPT, LOREM_IPSUM, POLICY, STATEMENT

_MOST_SYMBOLS = 0.08  # share of a line of text
_SHORT_LINE = 30  # FineWeb (arXiv 2406.17557)
_LONGEST_RUN, _FEWEST_RUNS = 1000, 3  # C4, as the field's default tool applies it
_HASH, _SLASH, _STAR, _HYPHEN, _BULLET, _GREATER, _DOT, _COLON = 35, 47, 42, 45, 0x2022, 62, 46, 58


@compiled
def classify_lines(codes, kinds, tokens, n, lines, count, first, is_code, row):
    """Fills the first token and the class of every line; counts code, comments, lists and examples."""
    token = 0
    for line in range(count):
        low, high = lines.begin[line], lines.end[line]
        while token < n and tokens.begin[token] < low:
            token += 1
        first[line] = token
        end = token
        code_like = assigns = 0
        while end < n and tokens.begin[end] < high:
            code_like += tokens.flags[end] & (CODE | NAME) > 0
            assigns += tokens.flags[end] & (NAME | WORD) == NAME and tokens.flags[end] & CODE > 0
            end += 1
        latex = _latex_commands(codes, kinds, low, high)
        size = high - low
        head, last = codes[low], codes[high - 1]
        session = size > 3 and head == codes[low + 1] == codes[low + 2] and (head == _GREATER or head == _DOT)  # noqa: SIM109
        comment = head == _HASH or (
            head == _SLASH and size > 1 and (codes[low + 1] == _SLASH or codes[low + 1] == _STAR)
        )
        opens = tokens.lists[token] if token < n else np.uint32(0)
        code = lines.symbols[line] > _MOST_SYMBOLS * size or assigns > 0 or 4 * code_like >= end - token
        code |= last == 123 or last == 40 or last == 91 or last == 59 or last == 92 or last == 61  # { ( [ ; \ =
        code |= head == 41 or head == 93 or head == 125 or (head == 64 and kinds[low + 1] & LETTER > 0)  # ) ] } @name
        code |= (head == 34 or head == 39) and (last == 44 or last == _COLON)  # "…", and "…":
        code |= opens & BLOCK > 0 and (last == _COLON or last == 123)
        code |= opens & STATEMENT > 0 and (code_like > 0 or end - token <= 3)
        code |= comment and head != _HASH
        is_code[line] = code and not session and latex == 0
        row[Tally.COMMENT_LINES] += comment
        row[Tally.EXAMPLES] += session and head == _GREATER and (line == 0 or lines.after_blank[line])
        row[Tally.MATHEMATICAL] += latex
        if is_code[line]:
            row[Tally.CODE_LINES] += 1
            row[Tally.WIDE_CODE_LINES] += size > 100
            for index in range(token, end):
                row[Tally.CODE_WORDS] += tokens.flags[index] & WORD > 0
                row[Tally.CODE_LONG_WORDS] += tokens.flags[index] & WORD > 0 and tokens.length[index] >= 3
        bullet = head in (_BULLET, _HYPHEN)
        row[Tally.BULLETS] += bullet
        row[Tally.LISTED] += (bullet or head == _STAR or kinds[low] & DIGIT > 0) and size > 2
        dots = size > 2 and last == codes[high - 2] == codes[high - 3] == _DOT
        row[Tally.ELLIPSIS_LINES] += dots or last == 0x2026
        token = end
    first[count] = n
    row[Tally.LINES] = count


@compiled
def _latex_commands(codes, kinds, low, high):
    """How many backslashes stand before three letters and more, as an escape in a string never does."""
    found = 0
    for at in range(low, high - 3):
        escape = codes[at + 1] == 120 and codes[at + 2] <= 102  # \xeb
        if codes[at] == 92 and not escape and kinds[at + 1] & kinds[at + 2] & kinds[at + 3] & LETTER:
            after = at + 4
            while after < high and kinds[after] & LETTER:
                after += 1
            found += after == high or not kinds[after] & DIGIT
    return found


@compiled
def count_duplicates(codes, kinds, lines, count, table, generation, last, row):
    """Lines and paragraphs that came before, and paragraphs that end as they should; returns the next generation."""
    generation += 1
    for line in range(count):
        place = place_of(table.keys, table.generations, generation, last, lines.hash[line])
        if table.generations[place] == generation:
            row[Tally.DUPLICATE_LINES] += 1
            row[Tally.DUPLICATE_LINE_CHARACTERS] += lines.end[line] - lines.begin[line]
        else:
            table.generations[place], table.keys[place] = generation, lines.hash[line]
    generation += 1
    line = 0
    while line < count:
        begin, hashed = lines.begin[line], lines.hash[line]
        line += 1
        while line < count and not lines.after_blank[line]:
            hashed = follow(hashed, lines.hash[line])
            line += 1
        row[Tally.PARAGRAPHS] += 1
        row[Tally.ENDED_PARAGRAPHS] += ends_well(codes, kinds, begin, lines.end[line - 1])
        place = place_of(table.keys, table.generations, generation, last, hashed)
        if table.generations[place] == generation:
            row[Tally.DUPLICATE_PARAGRAPHS] += 1
            row[Tally.DUPLICATE_PARAGRAPH_CHARACTERS] += lines.end[line - 1] - begin
        else:
            table.generations[place], table.keys[place] = generation, hashed
    return generation


@compiled
def ends_well(codes, kinds, begin, end):
    """Whether the last mark before closing quotes and brackets ends a sentence or announces something."""
    at = end - 1
    while at > begin and at > end - 4 and codes[at] in (34, 39, 41, 93, 0x201D, 0x2019, 0xBB, 96, 42):
        at -= 1
    return kinds[at] & END > 0 or codes[at] == _COLON or codes[at] == 0xFF1A


@compiled
def count_kept(codes, kinds, tokens, lines, count, first, table, generation, last, row):
    """C4's rules for lines, without the one on end marks, and FineWeb's figures of the lines that they keep; returns
    the next generation."""
    generation += 1
    for line in range(count):
        if lines.longest[line] > _LONGEST_RUN or lines.runs[line] < _FEWEST_RUNS:
            continue
        found = np.uint32(0)
        sentences, ended, words = 1, False, 0
        for index in range(first[line], first[line + 1]):
            found |= tokens.lists[index]
            words += 1
            if tokens.flags[index] & ENDS and tokens.length[index] == 1 and codes[tokens.begin[index]] != 0x2026:
                ended = True
            elif ended and tokens.flags[index] & WORD:
                sentences += 1
                ended = False
        row[Tally.LOREM_IPSUM] += found & LOREM_IPSUM > 0
        if found & JAVASCRIPT:
            continue
        row[Tally.BRACES] += lines.braces[line]
        if found & POLICY:
            continue
        size = lines.end[line] - lines.begin[line]
        mark = lines.end[line] - 1
        row[Tally.KEPT_LINES] += 1
        row[Tally.KEPT_SENTENCES] += sentences
        row[Tally.KEPT_TOKENS] += words
        row[Tally.KEPT_CHARACTERS] += size
        row[Tally.KEPT_ENDED] += kinds[mark] & END > 0 and codes[mark] != 0x2026
        row[Tally.KEPT_SHORT] += size <= _SHORT_LINE
        place = place_of(table.keys, table.generations, generation, last, lines.hash[line])
        if table.generations[place] == generation:
            row[Tally.KEPT_DUPLICATE_CHARACTERS] += size
        else:
            table.generations[place], table.keys[place] = generation, lines.hash[line]
    return generation
