"""Loss spikes: steps that one bad batch would spoil are left out, and the log says which and why."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from underdog.recipe.schema import Spikes as Settings

MEMORY = "spikes"


class Spikes:
    """Judges each step before the weights move, by the running median of its loss and its gradient's norm."""

    def __init__(self, settings: Settings, memory: dict[str, Any]):
        """`memory` is carried from step to step and through a resumed run; it may be filled after this."""
        self._window = settings.window
        self._limits = {"loss": settings.loss, "gradient_norm": settings.gradient_norm}
        self._memory = memory
        self.reason: str | None = None
        """Why the last step was skipped; None if it was not."""

    @property
    def skipped(self) -> int:
        """Steps left out so far."""
        return self._memory.get(MEMORY, {}).get("skipped", 0)

    def accept(self, figures: Mapping[str, float]) -> bool:
        """Whether the step is to be taken. Its figures count from now on, taken or not: what lasts is no spike."""
        seen = self._memory.setdefault(MEMORY, {"skipped": 0, **{name: [] for name in self._limits}})
        reasons = [
            f"{name} {figures[name]:.3g} is more than {limit:g} times the median {median(seen[name]):.3g}"
            for name, limit in self._limits.items()
            if limit and len(seen[name]) >= self._window // 2 and figures[name] > limit * median(seen[name])
        ]
        for name, limit in self._limits.items():
            if limit:
                seen[name] = [*seen[name], figures[name]][-self._window :]
        self.reason = " and ".join(reasons) or None
        seen["skipped"] += bool(reasons)
        return not reasons
