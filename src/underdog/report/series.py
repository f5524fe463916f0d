"""Time series made fit to draw: short enough, and without the noise that hides the trend."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 300  # points a line is drawn with; more cannot be seen at the width of a card

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def pick(log: Iterable[Mapping[str, Any]], x: str, y: str) -> Points:
    """(x, y) of the records that have both."""
    found = [(record[x], record[y]) for record in log if x in record and isinstance(record.get(y), int | float)]
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


def smooth(values: Sequence[float] | NDArray[np.float64], share: float = 0.05) -> NDArray[np.float64]:
    """Centred running mean over `share` of the series, narrower at the ends; not a number is left out."""
    y = np.asarray(values, np.float64)
    reach = max(1, round(share * len(y) / 2))
    total = np.concatenate(([0.0], np.cumsum(y)))
    low = np.maximum(np.arange(len(y)) - reach, 0)
    high = np.minimum(np.arange(len(y)) + reach + 1, len(y))
    return (total[high] - total[low]) / (high - low)
