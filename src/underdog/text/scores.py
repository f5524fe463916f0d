"""From signals to scores: ranks within the corpus, and one number a document."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from underdog.errors import UserError, did_you_mean
from underdog.text.ngrams import WordHashes
from underdog.text.signals import SIGNALS, Signal
from underdog.text.statistics import count

HIGHEST = 9


def choose_signals(overrides: Mapping[str, float]) -> list[Signal]:
    """The signals in use, with the recipe's weights over the defaults; 0 switches a signal off.

    Raises:
        UserError: an unknown name, a negative weight, or nothing left to score by.
    """
    for name, weight in overrides.items():
        if name not in SIGNALS:
            raise UserError(f'curate.signals: unknown signal "{name}".', hint=did_you_mean(name, SIGNALS))
        if weight < 0:
            raise UserError(f"curate.signals.{name} is {weight}.", hint="A weight is 0 (off) or more.")
    weighted = [replace(s, weight=overrides.get(s.name, s.weight)) for s in SIGNALS.values()]
    chosen = [s for s in weighted if s.weight]
    if not chosen:
        raise UserError("curate.signals switches every signal off.", hint="Leave one weight above 0.")
    return chosen


def measure(texts: Iterable[str], signals: Sequence[Signal]) -> NDArray[np.float64]:
    """Raw values, shape (texts, signals). Not comparable between signals."""
    word_hashes = WordHashes()
    counted = (count(text, word_hashes) for text in texts)
    rows = [[s.measure(statistics) for s in signals] for statistics in counted]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(signals))


def rank(values: NDArray[np.float64]) -> NDArray[np.int8]:
    """Scores 0–9, shape as given: in each column the share of documents that are no better, ×10, floored,
    at most 9.

    Equal values share the score of the best of them, so that a fault which most documents do not have
    costs only those that do.
    """
    scores = np.empty(values.shape, np.int8)
    for column in range(values.shape[1]):
        no_better = np.searchsorted(np.sort(values[:, column]), values[:, column], side="right")
        scores[:, column] = np.minimum(HIGHEST, 10 * no_better // len(values))
    return scores


def overall(scores: NDArray[np.int8], signals: Sequence[Signal]) -> NDArray[np.float64]:
    """q = Σ w_k d_k / (9 Σ w_k), in 0..1, shape (documents,)."""
    weights = np.array([s.weight for s in signals])
    return scores @ weights / (HIGHEST * weights.sum())
