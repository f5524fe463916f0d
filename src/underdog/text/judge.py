"""Judging: what a batch of texts is worth, in columns.

A judge is made once from the recipe, with all that must be read or fitted first; it is small, can be pickled, and
`measure` is a pure function of the texts. So worker processes and other machines give the same columns, bit for bit, as
one process does, however the texts are cut into batches. Ranks within the whole corpus come last, in `score`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from underdog.errors import UserError
from underdog.recipe.schema import Curate
from underdog.text.annotator import Annotator, rank_correlations, train_annotator
from underdog.text.document import Document
from underdog.text.kernels.batch import Texts
from underdog.text.kernels.count import Counts, count_with_words
from underdog.text.labels import read_labels
from underdog.text.language import check_languages, domains, languages, settle
from underdog.text.linear import Words
from underdog.text.readers.formats import read_span
from underdog.text.reference import MOST, Reference, fit_reference
from underdog.text.rules import choose_rules, first_broken
from underdog.text.scores import choose_signals, group, overall, rank
from underdog.text.signals import SIGNALS, SIMILARITY, Signal
from underdog.text.sources import find_spans

_FIRST = 20  # documents of each part of a source that are looked at for a sample


@dataclass(frozen=True)
class Redundant:
    """A signal that says what another one says."""

    signal: str
    like: str
    correlation: float  # Spearman's, of the scores


@dataclass(frozen=True)
class Scored:
    """The documents that are left, ranked among each other."""

    scores: NDArray[np.int8]  # (documents, signals), 0..9
    quality: NDArray[np.float64]  # (documents,), 0..1: the weighted mean of the scores
    groups: list[str]  # which documents share percentiles and tiers: "en text"
    correlations: NDArray[np.float64]  # (signals, signals), Spearman's
    redundant: list[Redundant]  # signals that did not count


class Judge:
    """Knows the recipe's signals and rules, the reference base and the annotator."""

    def __init__(self, settings: Curate):
        """Reads the reference base and the labels, and fits to them what there is to fit.

        Raises:
            UserError: a signal, rule or limit that cannot be, or examples or labels that cannot be read.
        """
        self.settings = settings
        known = {**SIGNALS, SIMILARITY.name: SIMILARITY} if settings.reference else SIGNALS
        self.signals: list[Signal] = choose_signals(settings.signals, known)
        choose_rules(settings.rules, settings.limits)
        check_languages(settings.languages)
        if settings.unlike and not settings.reference:
            raise UserError("curate.unlike needs curate.reference.", hint="Name good examples beside the bad ones.")
        self.reference: Reference | None = None
        if settings.reference:
            good, bad, ordinary = (_texts(settings, of) for of in ("reference", "unlike", "sources"))
            self.reference = fit_reference(good, ordinary, bad)
        self.annotator: Annotator | None = None
        self.agreement: dict[str, dict[str, float]] = {}
        """By signal, how well annotator and counts agree with labels that were held out."""
        if settings.labels:
            self.annotator, self.agreement = train_annotator(read_labels(Path(settings.labels).expanduser()))

    def measure(self, texts: Texts) -> pa.RecordBatch:
        """Columns, one row a text: `language` and `domain` (string), `rule` (string: why the text is refused before any
        ranking, null if it is not) and a float32 for every signal, by its name, with its raw value."""
        array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
        counts, offsets, hashes = count_with_words(array)
        words = Words(offsets, hashes)
        language = languages(array)
        values = self._values(counts, words)
        return pa.record_batch(
            {
                "language": pa.array(language, pa.string()),
                "domain": pa.array(domains(counts), pa.string()),
                "rule": pa.array(self._refusals(counts, language), pa.string()),
                **{signal.name: pa.array(values[signal.name], pa.float32()) for signal in self.signals},
            }
        )

    def _values(self, counts: Counts, words: Words) -> dict[str, NDArray[np.float64]]:
        """The annotator's word where there is one, else the count."""
        values = {signal.name: signal.measure(counts) for signal in self.signals if signal.measure}
        if self.reference:
            values[SIMILARITY.name] = self.reference(words)
        if self.annotator:
            values |= dict(zip(self.annotator.names, self.annotator(counts, words).T, strict=True))
        return values

    def _refusals(self, counts: Counts, language: Sequence[str]) -> list[str | None]:
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
        correlations = rank_correlations(scores)
        redundant = find_redundant(self.signals, correlations, self.settings.most_correlated)
        gone = {found.signal for found in redundant}
        counted = [k for k, signal in enumerate(self.signals) if signal.name not in gone]
        quality = overall(scores[:, counted], [self.signals[k] for k in counted])
        return Scored(scores, quality, groups, correlations, redundant)


def find_redundant(signals: Sequence[Signal], correlations: NDArray[np.float64], most: float) -> list[Redundant]:
    """Signals that correlate more than `most` with one that counts: of two the lighter goes, of equals the later."""
    kept: list[int] = []
    found: list[Redundant] = []
    for k in sorted(range(len(signals)), key=lambda k: (-signals[k].weight, k)):
        near = max(kept, key=lambda other: correlations[k, other], default=None)
        if near is not None and correlations[k, near] > most:
            found.append(Redundant(signals[k].name, signals[near].name, round(float(correlations[k, near]), 3)))
        else:
            kept.append(k)
    return found


def _texts(settings: Curate, setting: str) -> list[str]:
    """Some documents of the texts that a setting names, from all their parts: the same ones every time."""
    names = getattr(settings, setting)
    spans = find_spans(names, settings.text_field, f"curate.{setting}") if names else []
    stride = max(1, len(spans) * _FIRST // MOST)

    def documents() -> Iterator[str]:
        for span in spans[::stride]:
            found = (one.text for one in read_span(span) if isinstance(one, Document))
            yield from islice((text for text in found if text.strip()), MOST if len(spans) == 1 else _FIRST)

    return list(islice(documents(), MOST))
