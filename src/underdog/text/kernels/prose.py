"""Counts of sentences: what they say, how they are built, and how they hang together."""

import numpy as np

from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.hashing import place_of
from underdog.text.kernels.scan import (
    CAPITAL,
    CODE,
    ENDS,
    HAS_DIGIT,
    HAS_LETTER,
    QUOTE_MARK,
    SHOUTED,
    STARTS,
    UNCASED,
    WORD,
)  # fmt: skip
from underdog.text.kernels.tally import Tally
from underdog.text.lexicons import (
    CONNECTING,
    DETERMINER,
    EXPLAINING,
    FUNCTION,
    INSTRUCTING,
    NO_OBJECT,
    OPINION,
    PREPOSITION,
    REASONING,
)  # fmt: skip

_SHORTEST, _LONGEST, _LONGEST_UNSPACED = 5, 60, 200  # words; the last of scripts in which each character counts as one
_ORDINARY = (8, 40)
_HELD, _HELD_ELSEWHERE = 0.3, 0.15  # least share of function words; outside Latin script, where endings do their work
_TERM = 8  # letters
_THEMES = 5
_COLON, _QUESTION, _EXCLAMATION, _COMMA = 58, 63, 33, 44


@compiled
def count_prose(codes, tokens, n, lines, count, first, places, sentences, table, generation, last, row):
    """Walks through the paragraphs and counts every candidate that is a sentence; returns the next generation.

    `places` and `sentences` are room for `n` numbers: each content word's place in the table, and its sentence.
    """
    generation += 1
    begin = contents = np.int64(0)
    for line in range(count):
        if lines.after_blank[line]:
            begin = first[line]
        final = line + 1 == count or lines.after_blank[line + 1]
        index = first[line]
        while index < first[line + 1]:
            mark = index
            index += 1
            if not (tokens.flags[mark] & ENDS or codes[tokens.begin[mark]] == _COLON):
                continue
            while index < n and not tokens.flags[index] & (WORD | STARTS):  # more marks, closing quotes and brackets
                index += 1
            if index < first[line + 1]:
                if not tokens.flags[index] & STARTS or not tokens.flags[index] & (CAPITAL | UNCASED | QUOTE_MARK):
                    continue
            elif (
                not final and index < n and tokens.flags[index] & WORD and not tokens.flags[index] & (CAPITAL | UNCASED)
            ):
                continue
            if begin < mark and _is_sentence(tokens, begin, mark):
                contents = _count_sentence(
                    codes, tokens, begin, index, places, sentences, contents, table, generation, last, row
                )
            begin = index
    row[Tally.ON_TOPIC] = _on_topic(places, sentences, contents, table)
    return generation


@compiled
def _is_sentence(tokens, begin, end):
    """Begins with a capital, is made of words, is not code and not shouted (as much of a licence is)."""
    words = letters = characters = shouted = 0
    begins = False
    for index in range(begin, end):
        flags, length = tokens.flags[index], tokens.length[index]
        if flags & CODE:
            return False
        if flags & WORD:
            if words == 0:
                begins = flags & (CAPITAL | UNCASED) > 0
            words += 1
            letters += length if flags & HAS_LETTER else 0
            shouted += length if flags & SHOUTED else 0
        characters += length
    most = _LONGEST_UNSPACED if letters < 2 * words else _LONGEST
    return begins and _SHORTEST <= words <= most and letters >= 0.75 * characters and shouted <= 0.3 * letters


@compiled
def _count_sentence(codes, tokens, begin, end, places, sentences, contents, table, generation, last, row):
    """Adds one sentence to the counts; returns how many content words there are by now."""
    number = row[Tally.SENTENCES]
    words = held = 0
    connected = False
    for index in range(begin, end):
        flags, lists, code = tokens.flags[index], tokens.lists[index], codes[tokens.begin[index]]
        row[Tally.EXPLAINING] += lists & EXPLAINING > 0
        row[Tally.REASONING] += lists & REASONING > 0
        row[Tally.INSTRUCTING] += lists & INSTRUCTING > 0
        row[Tally.OPINIONS] += lists & OPINION > 0
        if not flags & WORD:
            row[Tally.EXCLAMATIONS] += code == _EXCLAMATION
            row[Tally.QUESTIONS] += code == _QUESTION
            continue
        if lists & (DETERMINER | PREPOSITION):
            after = tokens.flags[index + 1] if index + 1 < end else np.uint16(ENDS)
            stops = after & ENDS > 0 or (index + 1 < end and codes[tokens.begin[index + 1]] == _COMMA)
            row[Tally.MISFITS] += stops or (index + 1 < end and tokens.lists[index + 1] & NO_OBJECT > 0)
        connected |= words < 2 and lists & CONNECTING > 0
        quoted = index > begin and tokens.flags[index - 1] & QUOTE_MARK > 0
        row[Tally.FACTS] += flags & HAS_DIGIT > 0 or (words > 0 and (flags & CAPITAL > 0 or quoted))
        words += 1
        if lists & FUNCTION:
            held += 1
        elif flags & HAS_LETTER and (tokens.length[index] > 2 or flags & UNCASED):
            place = place_of(table.keys, table.generations, generation, last, tokens.word[index])
            if table.generations[place] != generation:
                table.generations[place], table.keys[place], table.counts[place] = generation, tokens.word[index], 0
                row[Tally.DISTINCT_CONTENT_WORDS] += 1
                row[Tally.TERMS] += tokens.length[index] >= _TERM
            else:
                connected |= number > table.firsts[place] >= number - 2
            table.counts[place] += 1
            table.firsts[place] = number  # here: the last sentence that has the word
            places[contents], sentences[contents] = place, number
            contents += 1
            row[Tally.CONTENT_WORDS] += 1
    row[Tally.SENTENCES] += 1
    row[Tally.SENTENCE_WORDS] += words
    row[Tally.CONNECTED] += connected and number > 0
    needed = _HELD if codes[tokens.begin[begin]] < 0x250 else _HELD_ELSEWHERE
    if _ORDINARY[0] <= words <= _ORDINARY[1] and held >= needed * words:
        row[Tally.NATURAL_WORDS] += words
    return contents


@compiled
def _on_topic(places, sentences, contents, table):
    """Sentences with one of the commonest content words. Marks themes by a negative count."""
    for _ in range(_THEMES):
        best, most = -1, 1
        for index in range(contents):
            if table.counts[places[index]] > most:
                best, most = places[index], table.counts[places[index]]
        if best >= 0:
            table.counts[best] = -most
    found, before = 0, -1
    for index in range(contents):
        if table.counts[places[index]] < 0 and sentences[index] != before:
            found += 1
            before = sentences[index]
    return found
