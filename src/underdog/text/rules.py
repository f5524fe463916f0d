"""Published rules for web text, as named filters with the published thresholds.

They judge one document by itself, before any ranking. Words are split as spaCy splits English; in other languages a
letter is any Unicode letter, and Gopher's stop words are asked of English alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from underdog.errors import UserError, did_you_mean
from underdog.text.kernels.count import Counts

Figure = Callable[[Counts], NDArray]


@dataclass(frozen=True)
class Rule:
    """A document breaks a rule where its figure is below or above the limit."""

    name: str  # "gopher.words"
    figure: Figure
    breaks: Literal["below", "above"]
    limit: float
    english: bool = False  # asked of English documents only

    def broken(self, counts: Counts, is_english: NDArray[np.bool_], limit: float | None = None) -> NDArray[np.bool_]:
        figure = self.figure(counts)
        limit = self.limit if limit is None else limit
        broken = figure < limit if self.breaks == "below" else figure > limit
        return broken & is_english if self.english else broken


def _share(part: str, of: str) -> Figure:
    return lambda c: getattr(c, part) / np.maximum(1, getattr(c, of))


def _repeated(n: int, limit: float) -> Rule:
    return Rule(f"gopher.repeated_{n}_grams", _share(f"repeated_{n}", "characters"), "above", limit)


# Gopher (Rae et al., arXiv 2112.11446, section A.1 and table A1), C4 (arXiv 1910.10683, section 2.2), FineWeb (arXiv
# 2406.17557, section 3.6). FineWeb runs C4 without its rule on end marks and its list of bad words; its own rules see
# the lines that C4 leaves. The order is FineWeb's: a document is charged with the first rule that it breaks.
RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("gopher.duplicate_paragraphs", _share("duplicate_paragraphs", "paragraphs"), "above", 0.30),
        Rule(
            "gopher.duplicate_paragraph_characters",
            _share("duplicate_paragraph_characters", "characters"),
            "above",
            0.20,
        ),
        Rule("gopher.duplicate_lines", _share("duplicate_lines", "lines"), "above", 0.30),
        Rule("gopher.duplicate_line_characters", _share("duplicate_line_characters", "characters"), "above", 0.20),
        Rule("gopher.top_2_gram", _share("top_2", "characters"), "above", 0.20),
        Rule("gopher.top_3_gram", _share("top_3", "characters"), "above", 0.18),
        Rule("gopher.top_4_gram", _share("top_4", "characters"), "above", 0.16),
        *(_repeated(n, limit) for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))),
        Rule("gopher.words", lambda c: c.words, "below", 50),
        Rule("gopher.most_words", lambda c: c.words, "above", 100_000),
        Rule("gopher.shortest_words", _share("word_characters", "words"), "below", 3),
        Rule("gopher.longest_words", _share("word_characters", "words"), "above", 10),
        Rule("gopher.hashes", _share("hashes", "tokens"), "above", 0.1),
        Rule("gopher.ellipses", _share("ellipses", "tokens"), "above", 0.1),
        Rule("gopher.bullets", lambda c: c.bullets / (c.newlines + 1), "above", 0.9),
        Rule("gopher.ellipsis_lines", lambda c: c.ellipsis_lines / (c.newlines + 1), "above", 0.3),
        Rule("gopher.words_with_letter", _share("with_letter", "tokens"), "below", 0.8),
        Rule("gopher.stop_words", lambda c: c.stop_words, "below", 2, english=True),
        Rule("c4.lorem_ipsum", lambda c: c.lorem_ipsum, "above", 0),
        Rule("c4.braces", lambda c: c.braces, "above", 0),
        Rule("c4.sentences", lambda c: c.kept_sentences, "below", 5),
        Rule("fineweb.ended_lines", _share("kept_ended", "kept_lines"), "below", 0.12),
        Rule("fineweb.short_lines", _share("kept_short", "kept_lines"), "above", 0.67),
        Rule("fineweb.duplicate_characters", _share("kept_duplicate_characters", "kept_characters"), "above", 0.01),
        Rule("fineweb.lists", lambda c: (c.kept_lines - 1) / np.maximum(1, c.kept_tokens), "above", 0.3),
    )
}
SETS = ("gopher", "c4", "fineweb")


def choose_rules(names: Sequence[str], limits: Mapping[str, float]) -> list[tuple[Rule, float]]:
    """The rules that sets ("gopher") or single names mean, in the order of `RULES`, with the recipe's limits.

    Raises:
        UserError: a name that is neither a set nor a rule, or a limit of a rule that is not in use.
    """
    for name in names:
        if name not in SETS and name not in RULES:
            raise UserError(f'curate.rules: unknown rule "{name}".', hint=did_you_mean(name, [*SETS, *RULES]))
    chosen = [rule for rule in RULES.values() if rule.name in names or rule.name.split(".")[0] in names]
    for name in limits:
        if name not in {rule.name for rule in chosen}:
            hint = did_you_mean(name, RULES) if name not in RULES else "Name it, or its set, in curate.rules."
            raise UserError(f'curate.limits: the rule "{name}" is not in use.', hint=hint)
    return [(rule, limits.get(rule.name, rule.limit)) for rule in chosen]


def first_broken(
    counts: Counts, is_english: NDArray[np.bool_], rules: Sequence[tuple[Rule, float]]
) -> list[str | None]:
    """For each document the name of the first rule that it breaks, or None."""
    found: list[str | None] = [None] * len(counts)
    for rule, limit in reversed(rules):
        for index in np.flatnonzero(rule.broken(counts, is_english, limit)):
            found[index] = rule.name
    return found
