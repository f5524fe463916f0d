"""The pool of training problems: shuffled, endless, and read on from where it was left."""

from collections.abc import Sequence
from typing import Any

from underdog.train.shuffle import Shuffle
from underdog.verify.problem import Problem


class Pool:
    """Hands out problems; its only state is a position in `memory`, which survives a resume."""

    def __init__(self, problems: Sequence[Problem], seed: int, memory: dict[str, Any]):
        self._problems = problems
        self._order = Shuffle(len(problems), seed)
        self._memory = memory

    def take(self, count: int) -> list[Problem]:
        first = self._memory.get("position", 0)
        self._memory["position"] = first + count
        return [self._problems[self._order[position]] for position in range(first, first + count)]
