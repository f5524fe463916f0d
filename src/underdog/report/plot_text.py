"""What the corpus looks like by its signals."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from underdog.report.svg import COLOURS, axes, draw

_WIDTH, _HEIGHT = 200, 46
_CELL, _NAME_WIDTH = 15, 150
_NARROWEST = 1 / 30  # of the range shown: the width of a bar for documents that all have the same value
_SPIKE = 3  # times the highest bar: as far as a spike is drawn

Bar = tuple[float, float, float]  # left, right, height


def signal_histogram(name: str, deciles: Sequence[float]) -> Markup:
    """The values of a signal over the corpus: every bar holds a tenth of the documents, so that narrow bars are high.

    Where several tenths share one value they make a spike, which is cut. The outermost tenths may run off the edge.
    `deciles` are the values at 0, 10, …, 100 % of the documents.
    """
    low, high, bars, spikes = _bars(np.asarray(deciles, np.float64))
    top = max(height for *_, height in bars or spikes) * (_SPIKE if bars and spikes else 1)

    def paint(figure):
        plot = axes(figure, 0, 3, 0, 1)
        plot.set(xlim=(low, high), ylim=(0, top), yticks=[], xticks=[])
        for left, right, height in bars + spikes:
            plot.bar(
                left, height, right - left, align="edge", color=COLOURS["text"], edgecolor=COLOURS["paper"], lw=0.5
            )

    return draw(f"signal-{name}", _WIDTH, _HEIGHT, f"Distribution of {name} over the documents", paint)


def correlation_matrix(names: Sequence[str], correlations: Sequence[Sequence[float]]) -> Markup:
    """Squares whose area is the size of Spearman's correlation of two signals: full where they agree, hollow where they
    oppose. Below the diagonal only."""
    count = len(names)
    side = count * _CELL

    def paint(figure):
        plot = axes(figure, _NAME_WIDTH, 4, 4, 4)
        plot.set(xlim=(0, count), ylim=(count, 0), xticks=[])
        plot.set_yticks(np.arange(count) + 0.5, names)
        plot.grid(False)
        for row in range(count):
            for column in range(row):
                value = correlations[row][column]
                width = 0.9 * abs(value) ** 0.5
                left, top = column + (1 - width) / 2, row + (1 - width) / 2
                fill, edge = (COLOURS["text"], "none") if value > 0 else ("none", COLOURS["muted"])
                plot.bar(left, width, width, bottom=top, align="edge", facecolor=fill, edgecolor=edge, lw=1)

    return draw("correlations", _NAME_WIDTH + side + 4, side + 8, "Correlations between signals", paint)


def _bars(edges: NDArray[np.float64]) -> tuple[float, float, list[Bar], list[Bar]]:
    """The range shown, the bars, and those that stand for a single value; areas are shares of the documents."""
    middle = _extent(edges[1], edges[-2]) or _extent(edges[0], edges[-1]) or 1.0
    low, high = max(edges[0], edges[1] - middle / 3), min(edges[-1], edges[-2] + middle / 3)
    least = (_extent(low, high) or 1.0) * _NARROWEST
    share = 1 / (len(edges) - 1)
    bars: list[Bar] = []
    tied: dict[float, float] = {}
    for left, right in pairwise(edges.tolist()):
        if right - left < least:
            tied[right] = tied.get(right, 0.0) + share
        else:
            bars.append((left, right, share / (right - left)))
    spikes = [(value - least / 2, value + least / 2, mass / least) for value, mass in tied.items()]
    return low - least, high + least, bars, spikes


def _extent(low: float, high: float) -> float:
    """The distance, or 0 where rounding makes up most of it."""
    return high - low if high - low > 1e-9 * max(abs(low), abs(high), 1e-9) else 0.0
