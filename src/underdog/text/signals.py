"""The twenty signals: what a document is worth, one named aspect at a time.

Each signal is a function from counts to one number a document; more is better, and its scale means nothing until the
scores rank it among documents of its language and domain. Content comes before form (Nanbeige4, arXiv 2512.06266, whose
own twenty are not published); the aspects are chosen from DataMan (arXiv 2502.19363), QuRating (2402.09739),
FineWeb-Edu (2406.17557), Meta-rater (2504.14194) and Essential-Web (2506.14111). Here they are measured by counting;
labels of a strong model can teach an annotator to fill the same columns (annotator.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.count import Counts

Values = NDArray[np.float64]  # (documents,)
Measure = Callable[[Counts], Values]
Kind = Literal["content", "form", "risk"]

# Default weights. Content beats form (Nanbeige4), and what nobody reads to learn beats both. Where counting only grazes
# what the name says, the weight is low: an annotator's column deserves more.
_STRONG, _PLAIN, _WEAK, _RISK = 2.0, 1.0, 0.25, 4.0

PRIOR = 50  # words added to a document's length before a rate is taken: short documents must not win by luck
_FEW = 5  # the same for sentences, lines and terms


@dataclass(frozen=True)
class Signal:
    """A named measure and its weight in the overall score."""

    name: str
    kind: Kind
    weight: float
    description: str
    measure: Measure | None  # None: not counted, but computed by the judge


SIGNALS: dict[str, Signal] = {}
"""The twenty that are counted."""

SIMILARITY = Signal(
    "reference_similarity",
    "content",
    _STRONG,
    "Likeness to the examples that curate.reference names: importance weights, static vectors and a linear head "
    "(reference.py).",
    None,
)


def signal(kind: Kind, weight: float) -> Callable[[Measure], Measure]:
    """Registers a measure under its own name."""

    def register(measure: Measure) -> Measure:
        description = " ".join((measure.__doc__ or "").split())
        SIGNALS[measure.__name__] = Signal(measure.__name__, kind, weight, description, measure)
        return measure

    return register


@signal("content", _STRONG)
def information_density(c: Counts) -> Values:
    """Different content words in sentences, for the document's length. DataMan's "semantic density"."""
    return c.distinct_content_words / (c.parts + PRIOR)


@signal("content", _STRONG)
def knowledge_density(c: Counts) -> Values:
    """Names, numbers and quoted terms inside sentences, a word: what can be checked. QuRating's "facts and trivia"."""
    return c.facts / (c.parts + PRIOR)


@signal("content", _STRONG)
def educational_value(c: Counts) -> Values:
    """Definitions, interpretations and worked examples, a word. What FineWeb-Edu asks a model."""
    return (c.explaining + c.examples) / (c.parts + PRIOR)


@signal("content", _STRONG)
def reasoning_depth(c: Counts) -> Values:
    """Words that join a cause or a condition to what follows from it, a word. Meta-rater's "reasoning"."""
    return c.reasoning / (c.parts + PRIOR)


@signal("content", _WEAK)
def logical_coherence(c: Counts) -> Values:
    """Share of the sentences that take up a word of the two sentences before, or refer back to them. After the entity
    grid's transitions (Barzilay and Lapata 2008)."""
    return c.connected / (c.sentences + _FEW)


@signal("content", _PLAIN)
def factual_style(c: Counts) -> Values:
    """Words in sentences, less ten for each word of opinion, first person or exclamation mark, for the document's
    length. DataMan's "originality and objectivity" half."""
    return (c.sentence_words - 10 * (c.opinions + c.exclamations)) / (c.parts + PRIOR)


@signal("content", _WEAK)
def topical_focus(c: Counts) -> Values:
    """Share of the sentences that hold one of the document's five commonest content words. DataMan's "topic focus"."""
    return c.on_topic / (c.sentences + _FEW)


@signal("content", _PLAIN)
def instruction_value(c: Counts) -> Values:
    """Words that tell the reader what to do, questions, steps of lists and worked examples, a word. Essential-Web's
    "reasoning and instruction" by surface."""
    steps = np.minimum(c.listed, c.sentences)  # a list of names instructs nobody
    return (c.instructing + c.questions + steps + 2 * c.examples) / (c.parts + PRIOR)


@signal("content", _WEAK)
def expertise(c: Counts) -> Values:
    """Share of the different content words that are long: the words of a trade. The long-word half of LIX (Björnsson
    1968)."""
    return c.terms / (c.distinct_content_words + 4 * _FEW)


@signal("content", _WEAK)
def mathematical_content(c: Counts) -> Values:
    """Words of mathematics and LaTeX commands, a word, as far as there are sentences around them. After OpenWebMath's
    symbol filter (arXiv 2310.06786)."""
    return np.minimum(c.mathematical, c.sentence_words / 5) / (c.parts + PRIOR)


@signal("content", _WEAK)
def code_quality(c: Counts) -> Values:
    """Where there is code: comments beside it, words for names, lines of readable width. 0 without code, below 0 for
    code that has none of that. After Stack-Edu's rubric (arXiv 2502.02737)."""
    code = np.maximum(1, c.code_lines)
    commented = np.minimum(1.0, 4 * (c.comment_lines + c.sentences) / code)
    named = c.code_long_words / np.maximum(1, c.code_words)
    narrow = 1 - c.wide_code_lines / code
    return c.code_lines / (c.lines + _FEW) * (commented + named + narrow - 2)


@signal("content", _STRONG)
def prose_share(c: Counts) -> Values:
    """Share of the lines that are neither code nor a table. Interactive sessions count as text: they show what code
    does. Stack-Edu and Essential-Web set code apart in the same way, by a classifier."""
    return 1 - c.code_lines / np.maximum(1, c.lines)


@signal("risk", _RISK)
def non_boilerplate(c: Counts) -> Values:
    """Free of the words of licences, change logs, generated files, page frames and advertising, a word. After C4's
    phrase lists (arXiv 1910.10683)."""
    return -(c.boilerplate + c.addresses) / (c.parts + PRIOR)


@signal("form", _STRONG)
def fluency(c: Counts) -> Values:
    """Share of all words in sentences of 8 to 40 words that function words hold together; an article or preposition
    before what cannot follow it costs ten words. Gopher's stop-word rule (arXiv 2112.11446), by the sentence."""
    return (c.natural_words - 10 * c.misfits) / (c.parts + PRIOR)


@signal("form", _PLAIN)
def literacy(c: Counts) -> Values:
    """Share of the runs between spaces that are words, letters alone within the marks of prose; broken characters count
    against it. Gopher's share of words with a letter, made strict."""
    return (c.spelled_runs - 5 * c.broken) / np.maximum(1, c.runs)


@signal("form", _PLAIN)
def cleanliness(c: Counts) -> Values:
    """Share of the visible characters that are letters, full stops or commas, not symbols or markup. Gopher's symbol
    rule without a threshold."""
    return (c.letters + c.stops) / np.maximum(1, c.visible)


@signal("form", _PLAIN)
def non_repetition(c: Counts) -> Values:
    """1 − the worst of Gopher's duplicate shares (lines, paragraphs, commonest 2- to 4-gram, repeated 5-grams) as a
    multiple of its limit."""
    characters = c.characters + 6 * PRIOR
    lines = c.duplicate_lines / (c.lines + _FEW) / 0.30
    paragraphs = c.duplicate_paragraphs / (c.paragraphs + _FEW) / 0.30
    tops = [c.top_2 / characters / 0.20, c.top_3 / characters / 0.18, c.top_4 / characters / 0.16]
    return 1 - np.max([lines, paragraphs, *tops, c.repeated_5 / characters / 0.15], axis=0)


@signal("form", _STRONG)
def structure(c: Counts) -> Values:
    """Share of the paragraphs that end as a sentence or announce what follows. FineWeb's end-mark rule (arXiv
    2406.17557), by the paragraph."""
    return c.ended_paragraphs / np.maximum(1, c.paragraphs)


@signal("form", _PLAIN)
def completeness(c: Counts) -> Values:
    """How many hold: begins like a text, ends like a sentence, is not cut off, closes its brackets. DataMan's
    "structural completeness"."""
    return 0.0 + (c.begins_small == 0) + c.ends_well + (c.cut_off == 0) + (c.unbalanced == 0)


@signal("form", _WEAK)
def safety(c: Counts) -> Values:
    """Free of obscene words, addresses and long numbers (cards, telephones, keys), a word. Dolma's taggers (arXiv
    2402.00159), by list and pattern."""
    return -(5 * c.unsafe + c.addresses + c.long_numbers) / (c.parts + PRIOR)
