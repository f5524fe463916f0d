"""From labelled rows to a calibrated classifier and a report on rows that it never saw.

Temperature scaling on held-out rows makes its confidences mean what they say (Guo et al. 2017); rows that neither fit
nor calibration saw give its figures, and the threshold for a stated error.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from underdog.errors import UserError
from underdog.seeds import derive
from underdog.tasks.calibrate import calibration_error, fit_temperature
from underdog.tasks.classify import Classified
from underdog.tasks.floor import fit_floor
from underdog.tasks.route import Threshold, fit_threshold
from underdog.tasks.tuned import Tuned


@dataclass(frozen=True)
class Rows:
    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Split:
    """Rows to learn from, to stop and calibrate by, and to report on."""

    fit: Rows
    calibrate: Rows
    held: Rows


@dataclass(frozen=True)
class Report:
    """How it does on held-out rows that neither the fit nor the calibration saw."""

    rows: int
    accuracy: float
    majority: float  # accuracy of always saying the commonest label
    calibration_error: float  # ECE, ten bins
    threshold: Threshold
    confusion: dict[str, dict[str, int]]  # is -> was taken for -> how often; without what never came

    @property
    def confused(self) -> list[tuple[str, str, int]]:
        """(is, was taken for, how often), commonest first."""
        wrong = ((one, said, n) for one, row in self.confusion.items() for said, n in row.items() if said != one)
        return sorted(wrong, key=lambda found: -found[2])


def tune(texts: Sequence[str], labels: Sequence[str], seed: int = 0, error: float = 0.05) -> tuple[Tuned, Report]:
    """The floor, fitted, calibrated and judged.

    Raises:
        UserError: there are too few rows, or fewer than two labels.
    """
    parts = split(texts, labels, seed)
    tuned = fit_floor(parts.fit.texts, parts.fit.labels)
    return tuned, judge(tuned, parts, error)


def split(texts: Sequence[str], labels: Sequence[str], seed: int) -> Split:
    """80 % of the rows, 10 % and 10 %, drawn at random.

    Raises:
        UserError: there are too few rows, or fewer than two labels.
    """
    if len(set(labels)) < 2 or len(texts) < 50:
        raise UserError(f"Tuning needs at least 50 rows of two labels; there are {len(texts)} of {len(set(labels))}.")
    order = np.random.default_rng(derive(seed, "tune")).permutation(len(texts))
    tenth = max(10, len(texts) // 10)
    parts = [order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth]]
    return Split(*(Rows([texts[i] for i in part], [labels[i] for i in part]) for part in parts))


def judge(tuned: Tuned, parts: Split, error: float) -> Report:
    """Sets the temperature, and looks at the held-out rows."""
    calibrate(tuned, parts.calibrate)
    return report_on(tuned.classify(parts.held.texts), parts, error)


def report_on(found: Sequence[Classified], parts: Split, error: float) -> Report:
    """`found`: what a calibrated classifier makes of the held-out rows."""
    labels = parts.held.labels
    right = [one.label == label for one, label in zip(found, labels, strict=True)]
    confidences = [one.confidence for one in found]
    commonest = Counter(parts.fit.labels).most_common(1)[0][0]
    confusion: dict[str, Counter[str]] = {label: Counter() for label in sorted(set(labels))}
    for one, label in zip(found, labels, strict=True):
        confusion[label][str(one.label)] += 1
    return Report(
        len(labels),
        sum(right) / len(right),
        sum(label == commonest for label in labels) / len(labels),
        calibration_error(confidences, right),
        fit_threshold(confidences, right, error),
        {label: dict(row) for label, row in confusion.items()},
    )


def calibrate(tuned: Tuned, rows: Rows) -> None:
    """Sets the temperature; rows of labels that it does not know say nothing."""
    known = [
        (text, tuned.labels.index(label))
        for text, label in zip(rows.texts, rows.labels, strict=True)
        if label in tuned.labels
    ]
    scores = tuned.scores([text for text, _ in known]) if known else []
    tuned.temperature = fit_temperature(scores, [right for _, right in known])
