"""The pool of training problems: shuffled, endless, read on from where it was left, and sorted by how hard they are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from underdog.recipe.reinforcement import Profile
from underdog.seeds import derive
from underdog.train.shuffle import Shuffle
from underdog.verify.problem import Problem

BINS = 10  # of the histogram of pass rates


class Pool:
    """Hands out problems; its only state is in `memory`, which survives a resume.

    Until it is sorted every problem is active. After that the active ones are handed out, with a small share of the
    retired, so that what was known is not forgotten.
    """

    def __init__(self, problems: Sequence[Problem], seed: int, memory: dict[str, Any]):
        self.problems = problems
        self._seed = seed
        self._memory = memory
        self._arrange()

    @property
    def informative(self) -> float:
        """The share of problems whose answers differed in reward, where they were last tried."""
        return self._memory.get("informative", 1.0)

    @informative.setter
    def informative(self, share: float) -> None:
        self._memory["informative"] = share

    def take(self, count: int) -> list[Problem]:
        first = self._memory.get("position", 0)
        self._memory["position"] = first + count
        return [self.problems[self._at(position)] for position in range(first, first + count)]

    def sorted_for(self, stage: str) -> bool:
        """Whether the pool was sorted at the beginning of this stage."""
        return self._memory.get("sorted_for") == stage

    def sort(self, stage: str, rates: Sequence[float], settings: Profile) -> dict[str, Any]:
        """Sorts the problems by their pass rates [0, 1], in the order of `problems`; returns what came of it.

        Active: rates from `low` to `high`. Deferred: below, until the next stage looks again (a rate of 0 over a few
        answers means "unknown", not "impossible"). Retired: above. With nothing left between the bounds, everything
        stays active: a run is not ended by that.
        """
        active = [index for index, rate in enumerate(rates) if settings.low <= rate <= settings.high]
        retired = [index for index, rate in enumerate(rates) if rate > settings.high]
        found = {
            "active": len(active),
            "retired": len(retired),
            "deferred": len(rates) - len(active) - len(retired),
            "rates": histogram(rates),
        }
        every = round(1 / settings.review) if settings.review else 0
        if not active:
            active, retired = list(range(len(rates))), []
        self._memory.update(sorted_for=stage, active=active, retired=retired, review_every=every, position=0)
        self._arrange()
        return found

    def _arrange(self) -> None:
        self._active = self._memory.get("active", range(len(self.problems)))
        self._retired = self._memory.get("retired", [])
        stage = self._memory.get("sorted_for")
        seed = self._seed if stage is None else derive(self._seed, stage)
        self._order = Shuffle(len(self._active), seed)
        self._review = Shuffle(max(1, len(self._retired)), derive(seed, "review"))

    def _at(self, position: int) -> int:
        """The index of the problem at a position: every so many of them a retired one."""
        every = self._memory.get("review_every", 0)
        if not (every and self._retired):
            return self._active[self._order[position]]
        rounds, within = divmod(position, every)
        if within == every - 1:
            return self._retired[self._review[rounds]]
        return self._active[self._order[rounds * (every - 1) + within]]


def histogram(rates: Sequence[float]) -> list[int]:
    """How many rates fall into each of ten equal bins; 1 belongs to the last."""
    bins: Mapping[int, int] = Counter(min(int(rate * BINS), BINS - 1) for rate in rates)
    return [bins.get(index, 0) for index in range(BINS)]
