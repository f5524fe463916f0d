"""Judging: what a batch of texts is worth, in columns.

A judge is made once from the recipe, with all that must be read or fitted first; it is small, can be pickled, and
`measure` is a pure function of the texts. So worker processes and other machines give the same columns, bit for bit, as
one process does, however the texts are cut into batches. Ranks within the whole corpus come last, in `score`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from underdog.recipe.schema import Curate
from underdog.text.kernels.count import Counts, Texts, count
from underdog.text.language import domains, languages, settle
from underdog.text.rules import choose_rules, first_broken
from underdog.text.scores import choose_signals, group, overall, rank


@dataclass(frozen=True)
class Scored:
    """The documents that are left, ranked among each other."""

    scores: NDArray[np.int8]  # (documents, signals), 0..9
    quality: NDArray[np.float64]  # (documents,), 0..1: the weighted mean of the scores
    groups: list[str]  # which documents share percentiles and tiers: "en text"


class Judge:
    """Knows the recipe's signals and rules."""

    def __init__(self, settings: Curate):
        """
        Raises:
            UserError: a signal, rule, limit or threshold that cannot be.
        """
        self.settings = settings
        self.signals = choose_signals(settings.signals)
        choose_rules(settings.rules, settings.limits)

    def measure(self, texts: Texts) -> pa.RecordBatch:
        """Columns, one row a text: `language` and `domain` (string), `rule` (string: why the text is refused before any
        ranking, null if it is not) and a float32 for every signal, by its name, with its raw value."""
        array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
        counts = count(array)
        language = languages(array.fill_null("").to_pylist())
        columns: dict[str, pa.Array] = {
            "language": pa.array(language, pa.string()),
            "domain": pa.array(domains(counts), pa.string()),
            "rule": pa.array(self._refusals(counts, language), pa.string()),
        }
        for signal in self.signals:
            columns[signal.name] = pa.array(signal.measure(counts), pa.float32())
        return pa.record_batch(columns)

    def _refusals(self, counts: Counts, language: list[str]) -> list[str | None]:
        rules = choose_rules(self.settings.rules, self.settings.limits)
        broken = first_broken(counts, np.array([code == "en" for code in language], bool), rules)
        wanted = self.settings.languages
        if not wanted:
            return broken
        return [rule if code in wanted else f"language {code}" for rule, code in zip(broken, language, strict=True)]

    def score(self, columns: Mapping[str, Any] | pa.Table | pa.RecordBatch) -> Scored:
        """Ranks the documents among each other. `columns` are those of `measure`, of all documents that are left: a
        table, or Arrow or numpy arrays by name."""
        values = np.stack([np.asarray(columns[s.name], np.float64) for s in self.signals], axis=1)
        kinds = {name: np.asarray(columns[name]).tolist() for name in self.settings.groups}
        if "language" in kinds:
            kinds["language"] = settle(kinds["language"])
        groups = group(list(kinds.values()), len(values))
        scores = rank(values, groups)
        return Scored(scores, overall(scores, self.signals), groups)
