"""When the reference policy is moved to the current one (ProRL: resets keep prolonged training from stalling)."""

from dataclasses import dataclass
from typing import Any

from underdog.recipe.schema import Reset

PATIENCE = 2  # looks at the validation problems without a new best that count as a stall (ours)


@dataclass(frozen=True)
class Resets:
    """Decides on resets; all it remembers lives in `memory`, which survives a resume."""

    settings: Reset
    memory: dict[str, Any]

    def due(self, step: int, validation: float) -> str | None:
        """Why a reset is due before this step, given a fresh validation score; None when it is not."""
        record = self.memory.setdefault("resets", {"last": 0, "best": validation, "stale": 0})
        if validation > record["best"]:
            record.update(best=validation, stale=0)
        elif step > record["last"]:
            record["stale"] += 1
        why = None
        if self.settings.every and step - record["last"] >= self.settings.every:
            why = f"{step - record['last']} steps since the last"
        elif self.settings.on_stall and record["stale"] >= PATIENCE:
            why = f"validation has not risen in {record['stale']} looks"
        if why:
            record.update(last=step, best=validation, stale=0)
        return why
