"""The pool of training problems: shuffled, endless, and read on from where it was left."""

from collections.abc import Sequence
from typing import Any

from underdog.train.shuffle import Shuffle
from underdog.verify.problem import Problem


class Pool:
    """Hands out problems; its only state is in `memory`, which survives a resume."""

    def __init__(self, problems: Sequence[Problem], seed: int, memory: dict[str, Any]):
        self._problems = problems
        self._order = Shuffle(len(problems), seed)
        self._memory = memory

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
        return [self._problems[self._order[position]] for position in range(first, first + count)]
