"""From signals to scores: ranks among documents of one kind, and one number a document."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from underdog.errors import UserError, did_you_mean
from underdog.text.signals import SIGNALS, Signal

HIGHEST = 9
SMALLEST_GROUP = 50
"""Documents. Ranks among fewer mean little: smaller groups are ranked together."""


def choose_signals(overrides: Mapping[str, float], known: Mapping[str, Signal] = SIGNALS) -> list[Signal]:
    """The signals in use, with the recipe's weights over the defaults; 0 switches a signal off.

    Raises:
        UserError: an unknown name, a negative weight, or nothing left to score by.
    """
    for name, weight in overrides.items():
        if name not in known:
            raise UserError(f'curate.signals: unknown signal "{name}".', hint=did_you_mean(name, known))
        if weight < 0:
            raise UserError(f"curate.signals.{name} is {weight}.", hint="A weight is 0 (off) or more.")
    weighted = [replace(s, weight=overrides.get(s.name, s.weight)) for s in known.values()]
    chosen = [s for s in weighted if s.weight]
    if not chosen:
        raise UserError("curate.signals switches every signal off.", hint="Leave one weight above 0.")
    return chosen


def group(columns: Sequence[Sequence[str]], documents: int, smallest: int = SMALLEST_GROUP) -> list[str]:
    """The name of each document's group: its values in all columns ("en code").

    A group of fewer than `smallest` documents joins those that share the first column's value, then "other".
    """
    columns = [[value or "unknown" for value in column] for column in columns]
    names = ["other"] * documents
    for depth in range(1, len(columns) + 1):
        finer = [" ".join(values) for values in zip(*columns[:depth], strict=True)]
        counts = dict(zip(*np.unique(finer, return_counts=True), strict=True)) if documents else {}
        names = [new if counts[new] >= smallest else old for new, old in zip(finer, names, strict=True)]
    return names


def rank(values: NDArray[np.float64], groups: Sequence[str] | None = None) -> NDArray[np.int8]:
    """Scores 0–9, shape as given: in each column the share of the group's documents that are no better, ×10, floored,
    at most 9.

    Equal values share the score of the best of them, so that a fault which most documents do not have costs only those
    that do.
    """
    scores = np.empty(values.shape, np.int8)
    names = np.asarray(groups if groups is not None else [""] * len(values))
    for name in np.unique(names):
        members = np.flatnonzero(names == name)
        for column in range(values.shape[1]):
            inside = values[members, column]
            no_better = np.searchsorted(np.sort(inside), inside, side="right")
            scores[members, column] = np.minimum(HIGHEST, 10 * no_better // len(members))
    return scores


def overall(scores: NDArray[np.int8], signals: Sequence[Signal]) -> NDArray[np.float64]:
    """q = Σ w_k d_k / (9 Σ w_k), in 0..1, shape (documents,)."""
    weights = np.array([s.weight for s in signals])
    return scores @ weights / (HIGHEST * weights.sum())
