"""What the signals are computed from, counted once a document."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from underdog.text.ngrams import Hashes, WordHashes, split_words

_BLANK_LINES = re.compile(r"\n\s*\n")
_CAPITAL = r"[^\W\d_a-z]"  # or a letter of a script that has none
_SENTENCE_END = re.compile(rf"(?<=[.!?:])[\"')\]”’»`]*\s+(?=[\"'(\[“‘«`*]*{_CAPITAL})")
_BEGINS = re.compile(rf"[\W_]*{_CAPITAL}")
ENDS = re.compile(r"[.!?:。！？…][\"')\]”’»`*]*\Z")
_CODE = re.compile(r">>>|::|[{}|\\^~]|\w_\w+_\w|[=<>]{2}|\(\)\.|;$| = ")
_CODE_LINE = re.compile(
    r"(?:def|class|if|elif|else|for|while|try|except|finally|with|async)\b.*:$"
    r"|import [\w.]+$|from [\w.]+ import\b|@\w|//|/\*"
    r"|(?:return|raise|yield|assert|del|pass|break|continue)(?:$| \S+$| \w*[\w.]+[(\[])"
    r"|[\w.]+(?:\[.*\])? [-+*/|&%]?= |[\w.]+\(.*\)?$|[)\]}\"']+[,:;]?$|.*[({\[;\\=]$"
    r"|[\"'][^\"']*[\"'](?:,$|:)"
)
_EXAMPLE = (">>>", "...")  # an interactive session shows what code does: it explains
_MOST_SYMBOLS = 0.08  # share of a line of text
_SHORTEST_SENTENCE, _LONGEST_SENTENCE = 5, 60  # words


class _WithoutText(dict[int, int | None]):
    """A table for str.translate that deletes letters of any script and the marks of prose."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if chr(code).isalpha() or chr(code) in " .,;:!?'\"-()’“”«»—–、。，" else code
        return self[code]


_WITHOUT_TEXT = _WithoutText()


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of one document."""

    text: str
    words: list[str]  # lower case
    hashes: Hashes  # one a word
    lines: list[str]  # not blank, without the white space around them
    paragraphs: list[str]  # between blank lines, likewise
    sentences: list[str]  # the prose: they begin and end like sentences and hold no code
    sentence_words: list[list[str]]  # the words of each, lower case
    prose: str  # all sentences, lower case
    code_lines: int  # lines of code or of a table
    examples: int  # interactive sessions
    bytes: NDArray[np.int64]  # how often each of the 256 bytes occurs in the UTF-8 form


def count(text: str, word_hashes: WordHashes) -> Statistics:
    """Statistics of one text; `word_hashes` is shared by all texts, for speed alone."""
    words = split_words(text)
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    paragraphs = [part for part in map(str.strip, _BLANK_LINES.split(text)) if part]
    sentences, sentence_words = _sentences(paragraphs)
    return Statistics(
        text=text,
        words=words,
        hashes=word_hashes.of(words),
        lines=lines,
        paragraphs=paragraphs,
        sentences=sentences,
        sentence_words=sentence_words,
        prose="\n".join(sentences).lower(),
        code_lines=sum(map(_is_code, lines)),
        examples=sum(part.startswith(">>>") for part in paragraphs),
        bytes=np.bincount(np.frombuffer(text.encode(), np.uint8), minlength=256),
    )


def _sentences(paragraphs: list[str]) -> tuple[list[str], list[list[str]]]:
    sentences: list[str] = []
    sentence_words: list[list[str]] = []
    for paragraph in paragraphs:
        for candidate in _SENTENCE_END.split(" ".join(paragraph.split())):
            if _BEGINS.match(candidate) and ENDS.search(candidate) and not _CODE.search(candidate):
                words = split_words(candidate)
                if _SHORTEST_SENTENCE <= len(words) <= _LONGEST_SENTENCE and _is_spelled(candidate):
                    sentences.append(candidate)
                    sentence_words.append(words)
    return sentences, sentence_words


def _is_spelled(candidate: str) -> bool:
    """Made of letters, and not shouted (as much of a licence is)."""
    letters = sum(map(str.isalpha, candidate))
    capitals = sum(map(str.isupper, candidate))
    return letters >= 0.75 * (len(candidate) - candidate.count(" ")) and capitals <= 0.3 * letters


def _is_code(line: str) -> bool:
    if line.startswith(_EXAMPLE):
        return False
    symbols = len(line.translate(_WITHOUT_TEXT))
    return symbols > _MOST_SYMBOLS * len(line) or _CODE_LINE.match(line) is not None
