"""Judging: what a batch of texts is worth, in columns.

A judge is made once from the recipe, with all that must be read or fitted first; it is small, can be pickled, and
`measure` is a pure function of the texts. So worker processes and other machines give the same columns, bit for bit, as
one process does, however the texts are cut into batches. Ranks within the whole corpus come last, in `score`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from underdog.recipe.schema import Curate
from underdog.text.scores import choose_signals, measure, overall, rank


@dataclass(frozen=True)
class Scored:
    """The documents that are left, ranked among each other."""

    scores: NDArray[np.int8]  # (documents, signals), 0..9
    quality: NDArray[np.float64]  # (documents,), 0..1: the weighted mean of the scores
    groups: NDArray[np.int64]  # (documents,): which documents share percentiles and tiers


class Judge:
    def __init__(self, settings: Curate):
        self.signals = choose_signals(settings.signals)

    def measure(self, texts: pa.Array | Sequence[str]) -> pa.RecordBatch:
        """Columns, one row a text: `language` and `domain` (string), `rule` (string: the first rule that the text
        breaks, null if none) and a float32 for every signal, by its name, with its raw value."""
        values = measure(texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else texts, self.signals)
        nothing = [None] * len(values)
        columns: dict[str, Any] = {name: pa.array(nothing, pa.string()) for name in ("language", "domain", "rule")}
        columns |= {s.name: pa.array(values[:, k], pa.float32()) for k, s in enumerate(self.signals)}
        return pa.record_batch(columns)

    def score(self, columns: Mapping[str, Any]) -> Scored:
        """Ranks the documents among each other. `columns` are those of `measure`, of all documents that are left: a
        table, or Arrow or numpy arrays by name."""
        values = np.stack([np.asarray(columns[s.name], np.float64) for s in self.signals], axis=1)
        scores = rank(values)
        return Scored(scores, overall(scores, self.signals), np.zeros(len(values), np.int64))
