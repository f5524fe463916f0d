"""Time series made fit to draw: short enough, and without the noise that hides the trend."""

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 300  # points a line is drawn with; more cannot be seen at the width of a card

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def pick(log: Iterable[Mapping[str, Any]], x: str, y: str) -> Points:
    """(x, y) of the records that have both, as finite numbers."""
    found = [(record[x], record[y]) for record in log if x in record and y in record and math.isfinite(record[y])]
    xs, ys = zip(*found, strict=True) if found else ((), ())
    return np.array(xs, np.float64), np.array(ys, np.float64)


def thin(points: Points, most: int = MOST) -> Points:
    """At most `most` points, each the mean of an equal stretch; the ends stay where they are."""
    x, y = points
    if len(x) <= most:
        return points
    edges = np.linspace(0, len(x), most + 1).astype(int)[:-1]
    sizes = np.diff([*edges, len(x)])
    x_means, y_means = np.add.reduceat(x, edges) / sizes, np.add.reduceat(y, edges) / sizes
    x_means[0], x_means[-1] = x[0], x[-1]
    return x_means, y_means


def trend(points: Points, edges: Iterable[float], share: float) -> list[Points]:
    """A running mean over `share` of the series, in stretches that begin at `edges`: no jump there is smeared."""
    x, y = points
    cuts = [0, *sorted({int(np.searchsorted(x, edge)) for edge in edges} - {0, len(x)}), len(x)]
    return [(x[low:high], smooth(y[low:high], max(4, share * len(x)))) for low, high in pairwise(cuts)]


def smooth(y: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Centred running mean over about `width` points, fewer at the ends."""
    reach = max(1, round(width / 2))
    total = np.concatenate(([0.0], np.cumsum(y)))
    low = np.maximum(np.arange(len(y)) - reach, 0)
    high = np.minimum(np.arange(len(y)) + reach + 1, len(y))
    return (total[high] - total[low]) / (high - low)
