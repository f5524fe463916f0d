"""A figure in two arms, seed by seed, and the intervals of its difference."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev

# Two-sided 95 % quantiles of Student's t by degrees of freedom; beyond 30 the normal one is close enough.
_STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
STUDENT = dict(enumerate(_STUDENT, start=1))
NORMAL = 1.96


@dataclass(frozen=True)
class Difference:
    """A figure with the switch off and on, seed by seed."""

    name: str
    percent: bool
    off: list[float]
    on: list[float]
    gains: Sequence[float] = field(default=(), repr=False)
    """Of each test problem, the mean over the seeds."""

    @property
    def mean(self) -> float:
        return mean(self._paired)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the paired difference (Student's t over seeds); None for a single seed."""
        n = len(self._paired)
        if n < 2:
            return None
        half = STUDENT.get(n - 1, NORMAL) * stdev(self._paired) / math.sqrt(n)
        return self.mean - half, self.mean + half

    @property
    def over_problems(self) -> tuple[float, float] | None:
        """95 % interval for other problems of the kind: every seed has the same ones, so `interval` says nothing of
        their choice. None where no problem is told apart."""
        return mean_interval(self.gains)

    @property
    def _paired(self) -> list[float]:
        return [b - a for a, b in zip(self.off, self.on, strict=True)]


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean, by the normal approximation; None for fewer than two."""
    if len(values) < 2:
        return None
    half = NORMAL * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def gains(off: Sequence[Mapping[str, float]], on: Sequence[Mapping[str, float]]) -> list[float]:
    """By problem, how much more of it is solved with the switch on: the mean over seeds, for those that all looked
    at."""
    shared = set.intersection(*map(set, (*off, *on)))
    return [mean(b[name] - a[name] for a, b in zip(off, on, strict=True)) for name in sorted(shared)]
