"""Misspelt words with what they may have been: dictionaries and the distance of letters, by pyspellchecker.

A word is in doubt where no dictionary knows it (for Russian pymorphy3's too, which knows its forms). Names,
abbreviations, addresses and what has digits in it are left alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from underdog.tasks.normalize.names import morphology
from underdog.tasks.normalize.place import Place, library

WORD = re.compile(r"(?<![\w@./-])[^\W\d_]+(?:['’][^\W\d_]+)?(?![\w@/-]|\.\w)")
SURE = 5  # how often more frequent the likeliest must be than the next to be taken without a question


@dataclass(frozen=True)
class Doubt:
    """A word that no dictionary knows, at characters `start` to `end`. `candidates`: the commonest first."""

    start: int
    end: int
    word: str
    candidates: tuple[str, ...]
    sure: bool  # the first candidate stands out


def doubts(text: str, place: Place) -> Iterator[Doubt]:
    """Words in doubt that have candidates."""
    for found in WORD.finditer(text):
        word = found[0]
        inside = not begins_sentence(text, found.start())
        if len(word) < 3 or word.isupper() or (inside and word[0].isupper()):
            continue
        language = place.language_of(word)
        candidates = _candidates(word.lower(), language)
        if candidates:
            ranked = [name for name, _ in candidates]
            counts = [count for _, count in candidates] + [0]
            capitals = [name.capitalize() if word[0].isupper() else name for name in ranked]
            yield Doubt(*found.span(), word, tuple(capitals), counts[0] >= SURE * max(1, counts[1]))


def begins_sentence(text: str, start: int) -> bool:
    """Whether there is nothing before it, a new line, or a mark and a space."""
    end = start
    while end and text[end - 1].isspace():
        end -= 1
    return not end or "\n" in text[end:start] or (end < start and text[end - 1] in ".!?…")


@lru_cache(10_000)
def _candidates(word: str, language: str) -> tuple[tuple[str, int], ...]:
    """Words nearest to it with how often they occur; none where it is a word itself."""
    speller = _speller(language)
    if word in speller or (language == "ru" and morphology().word_is_known(word)):
        return ()
    near = speller.candidates(word) or {word}
    if language == "ru" and near == {word}:  # forms that no text of the dictionary had
        near = {name for name in speller.edit_distance_1(word) if morphology().word_is_known(name)}
    found = {name: speller[name] for name in near - {word}}
    return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:8])


@lru_cache(4)
def _speller(language: str) -> Any:
    return library("spellchecker").SpellChecker(language=language)
