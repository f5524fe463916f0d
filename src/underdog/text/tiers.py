"""Tiers: the corpus by score, best first, cut into shares."""

import math
from collections.abc import Mapping, Sequence

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
    scores: NDArray[np.float64], characters: Sequence[int], ids: Sequence[str], keep: Mapping[str, float]
) -> list[str | None]:
    """For each document its tier, or None below the last one.

    Shares are exclusive and of the characters: the best documents fill "top", the next "high", then
    "medium". A document falls where its middle character does, so a tier misses its share by less than
    one document at each end. Equal scores are ordered by id, which has nothing to do with the source.
    """
    check_shares(keep)
    lengths = np.asarray(characters, dtype=np.int64)
    order = np.lexsort((np.asarray(ids), -scores))
    middles = np.empty(len(lengths))
    middles[order] = np.cumsum(lengths[order]) - lengths[order] / 2
    bounds = np.cumsum([keep.get(tier, 0.0) for tier in TIERS]) * lengths.sum()
    if math.isclose(bounds[-1], lengths.sum()):
        bounds[-1] = np.inf  # shares that sum to 1 keep everything, documents without characters too
    places = np.searchsorted(bounds, middles, side="right")
    return [TIERS[place] if place < len(TIERS) else None for place in places]
