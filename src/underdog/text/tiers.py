"""Tiers: the corpus by score, best first, cut into shares."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from underdog.errors import UserError, did_you_mean
from underdog.recipe.schema import TIERS


def check_shares(keep: Mapping[str, float]) -> None:
    """
    Raises:
        UserError: an unknown tier, a share outside 0..1, shares that sum to more than 1 or to nothing.
    """
    for tier, share in keep.items():
        if tier not in TIERS:
            raise UserError(f'curate.keep: unknown tier "{tier}".', hint=did_you_mean(tier, TIERS))
        if not 0 <= share <= 1:
            raise UserError(f"curate.keep.{tier} is {share}.", hint="A tier takes a share of the corpus, 0 to 1.")
    total = math.fsum(keep.values())
    if total > 1 + 1e-9:
        raise UserError(
            f"The shares of curate.keep sum to {total:g}.",
            hint="Each tier takes its own share, best documents first; together they take at most 1.",
        )
    if total == 0:
        raise UserError("curate.keep keeps nothing.", hint="Give at least one tier a share above 0.")


def assign_tiers(
    scores: NDArray[np.float64],
    characters: Sequence[int],
    ids: Sequence[str],
    keep: Mapping[str, float],
    groups: Sequence[str] | None = None,
) -> list[str | None]:
    """For each document its tier, or None below the last one.

    Shares are exclusive, of the characters, and of each group by itself, so that no language or domain crowds out the
    others: the best documents fill "top", the next "high", then "medium". A document falls where its middle character
    does, so a tier misses its share by less than one document at each end. Equal scores are ordered by id, which has
    nothing to do with the source.
    """
    check_shares(keep)
    lengths, names = np.asarray(characters, dtype=np.int64), np.asarray(ids)
    kinds = np.asarray(groups if groups is not None else [""] * len(lengths))
    places = np.empty(len(lengths), np.int64)
    for kind in np.unique(kinds):
        members = np.flatnonzero(kinds == kind)
        places[members] = _fill(scores[members], lengths[members], names[members], keep)
    return [TIERS[place] if place < len(TIERS) else None for place in places]


def _fill(scores: NDArray, lengths: NDArray[np.int64], ids: NDArray, keep: Mapping[str, float]) -> NDArray[np.int64]:
    """The number of each document's tier; len(TIERS) below the last one."""
    order = np.lexsort((ids, -scores))
    middles = np.empty(len(lengths))
    middles[order] = np.cumsum(lengths[order]) - lengths[order] / 2
    bounds = np.cumsum([keep.get(tier, 0.0) for tier in TIERS]) * lengths.sum()
    if math.isclose(bounds[-1], lengths.sum()):
        bounds[-1] = np.inf  # shares that sum to 1 keep everything, documents without characters too
    return np.searchsorted(bounds, middles, side="right")


def tiers_by_threshold(scores: NDArray[np.float64], thresholds: Mapping[str, float]) -> list[str | None]:
    """For each document the best tier whose least score (0..1) it reaches, or None."""
    check_thresholds(thresholds)
    reached = [(scores >= thresholds[tier], tier) for tier in TIERS if tier in thresholds]
    return [next((tier for mask, tier in reached if mask[index]), None) for index in range(len(scores))]


def check_thresholds(thresholds: Mapping[str, float]) -> None:
    """
    Raises:
        UserError: an unknown tier, a threshold outside 0..1, or a better tier that asks for less.
    """
    for tier, least in thresholds.items():
        if tier not in TIERS:
            raise UserError(f'curate.thresholds: unknown tier "{tier}".', hint=did_you_mean(tier, TIERS))
        if not 0 <= least <= 1:
            raise UserError(f"curate.thresholds.{tier} is {least}.", hint="It is a score, 0 to 1.")
    for better, worse in pairwise(tier for tier in TIERS if tier in thresholds):
        if thresholds[better] < thresholds[worse]:
            raise UserError(
                f"curate.thresholds: {better} asks for {thresholds[better]:g}, {worse} for {thresholds[worse]:g}.",
                hint="A better tier needs a higher score.",
            )
