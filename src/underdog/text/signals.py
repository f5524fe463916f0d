"""Signals: what a document is worth, one named aspect at a time.

Each signal is a function from a document's statistics to a number; more is better, and its scale means
nothing until the scores rank it within the corpus. The aspects follow DataMan (arXiv 2502.19363) and
Nanbeige4 (arXiv 2512.06266), which puts content above form. This first form measures them by counting,
without a model.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from underdog.text.lexicons import BOILERPLATE_WORDS, EXPLAINING, FUNCTION_WORDS, REASONING
from underdog.text.ngrams import Hashes, ngram_hashes
from underdog.text.statistics import ENDS, Statistics

FORM, CONTENT, RISK = 1.0, 2.0, 3.0
"""Default weights. Labels of content beat labels of form (Nanbeige4); what nobody reads to learn beats
both."""

Measure = Callable[[Statistics], float]

_PRIOR = 50  # words added to a document's length before a rate is taken: short documents must not win by luck
_NAME_OR_NUMBER = re.compile(r"(?<=[a-z,;] )(?:[^\W\d_a-z][\w-]+|\d[\d.,]*|[\"'`*“‘]+\w+)")
_MARKS = ".,;:!?()\"'’“”*`-"
_ENTRY = re.compile(r"#\d{3,}|(?:bpo|gh)-\d{3,}|@\w+\.\w")  # tickets and addresses
_TOP_NGRAMS = {2: 0.20, 3: 0.18, 4: 0.16}  # Gopher's limits, shares of the document
_REPEATED_5GRAMS = 0.15
_DUPLICATE_LINES = 0.30

_VISIBLE = np.arange(256) > 32
_LETTERS = np.array([chr(i).isalpha() or i >= 128 or chr(i) in ".," for i in range(256)])


@dataclass(frozen=True)
class Signal:
    """A named measure and its weight in the overall score."""

    name: str
    weight: float
    measure: Measure

    @property
    def description(self) -> str:
        return " ".join((self.measure.__doc__ or "").split())


SIGNALS: dict[str, Signal] = {}


def signal(weight: float) -> Callable[[Measure], Measure]:
    """Registers a measure under its own name."""

    def register(measure: Measure) -> Measure:
        SIGNALS[measure.__name__] = Signal(measure.__name__, weight, measure)
        return measure

    return register


@signal(CONTENT)
def information_density(s: Statistics) -> float:
    """Different content words in sentences, for the document's length. DataMan's "semantic density"."""
    distinct = set().union(*s.sentence_words) - FUNCTION_WORDS
    return len(distinct) / (len(s.words) + _PRIOR)


@signal(CONTENT)
def knowledge_density(s: Statistics) -> float:
    """Names, numbers and quoted terms inside sentences, a word: what can be checked. QuRating's "facts and
    trivia" (arXiv 2402.09739)."""
    found = sum(len(_NAME_OR_NUMBER.findall(sentence)) for sentence in s.sentences)
    return found / (len(s.words) + _PRIOR)


@signal(CONTENT)
def educational_value(s: Statistics) -> float:
    """Definitions, interpretations and worked examples, a word. What FineWeb-Edu (arXiv 2406.17557) asks a
    model."""
    return (len(EXPLAINING.findall(s.prose)) + s.examples) / (len(s.words) + _PRIOR)


@signal(CONTENT)
def reasoning(s: Statistics) -> float:
    """Words that join a cause or a condition to what follows from it, a word. Meta-rater's "reasoning"
    (arXiv 2504.14194)."""
    return len(REASONING.findall(s.prose)) / (len(s.words) + _PRIOR)


@signal(CONTENT)
def prose_share(s: Statistics) -> float:
    """Share of the lines that are neither code nor a table. Interactive sessions count as text: they show
    what code does. Stack-Edu and Essential-Web set code apart in the same way, by a classifier."""
    return 1 - s.code_lines / max(1, len(s.lines))


@signal(RISK)
def non_boilerplate(s: Statistics) -> float:
    """Free of the words of licences, change logs, generated files and page frames, a word. After C4's phrase
    lists (arXiv 1910.10683)."""
    found = sum(map(BOILERPLATE_WORDS.__contains__, s.words)) + len(_ENTRY.findall(s.text))
    return -found / (len(s.words) + _PRIOR)


@signal(FORM)
def fluency(s: Statistics) -> float:
    """Share of all words in sentences of 8 to 40 words that function words hold together. Gopher's
    stop-word rule (arXiv 2112.11446), by the sentence."""
    natural = 0
    for words in s.sentence_words:
        if 8 <= len(words) <= 40 and sum(map(FUNCTION_WORDS.__contains__, words)) >= 0.3 * len(words):
            natural += len(words)
    return natural / (len(s.words) + _PRIOR)


@signal(FORM)
def literacy(s: Statistics) -> float:
    """Share of the runs between spaces that are words, letters alone within the marks of prose; broken
    characters count against it. Gopher's share of words with a letter, made strict."""
    runs = s.text.split()
    spelled = sum(run.strip(_MARKS).isalpha() for run in runs)
    return (spelled - 5 * s.text.count("\ufffd")) / max(1, len(runs))


@signal(FORM)
def cleanliness(s: Statistics) -> float:
    """Share of the visible characters that are letters, full stops or commas, not symbols or markup. Gopher's
    symbol rule without a threshold."""
    return float(s.bytes[_LETTERS].sum() / max(1, s.bytes[_VISIBLE].sum()))


@signal(FORM)
def non_repetition(s: Statistics) -> float:
    """1 − the worst of Gopher's duplicate shares (lines, paragraphs, commonest 2- to 4-gram, repeated
    5-grams) as a multiple of its limit; shares are counted in words."""
    words = max(1, len(s.words))
    worst = max(_duplicates(s.lines), _duplicates(s.paragraphs)) / _DUPLICATE_LINES
    for n, limit in _TOP_NGRAMS.items():
        worst = max(worst, n * _commonest(ngram_hashes(s.hashes, n)) / words / limit)
    return 1 - max(worst, _covered(ngram_hashes(s.hashes, 5), 5) / words / _REPEATED_5GRAMS)


@signal(FORM)
def structure(s: Statistics) -> float:
    """Share of the paragraphs that end as a sentence or announce what follows. FineWeb's end-mark rule
    (arXiv 2406.17557), by the paragraph."""
    return sum(ENDS.search(part[-4:]) is not None for part in s.paragraphs) / max(1, len(s.paragraphs))


@signal(FORM)
def completeness(s: Statistics) -> float:
    """How many hold: begins like a text, ends like a sentence, is not cut off, closes its brackets. DataMan's
    "structural completeness"."""
    begins = not s.text[:1].islower()
    ends = ENDS.search(s.text[-4:]) is not None
    closed = s.text.count("(") == s.text.count(")") and s.text.count("[") == s.text.count("]")
    return float(begins + ends + (not s.text.endswith(("...", "…", ":"))) + closed)


def _duplicates(parts: Sequence[str]) -> float:
    return 1 - len(set(parts)) / max(1, len(parts))


def _commonest(ngrams: Hashes) -> int:
    """How often the commonest n-gram occurs; 0 if none occurs twice."""
    ordered = np.sort(ngrams)
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    longest = int(np.diff(starts).max(initial=0))
    return longest if longest > 1 else 0


def _covered(ngrams: Hashes, n: int) -> int:
    """Words inside an n-gram that occurs elsewhere in the document too."""
    order = np.argsort(ngrams, kind="stable")
    twice = np.zeros(len(ngrams) + n - 1, bool)
    same = ngrams[order[1:]] == ngrams[order[:-1]]
    positions = np.concatenate((order[1:][same], order[:-1][same]))
    for i in range(n):
        twice[positions + i] = True
    return int(twice.sum())
