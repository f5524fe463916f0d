"""When the reference policy is moved to the current one (ProRL: resets keep prolonged training from stalling), and
when the current one is given up for the best."""

from dataclasses import dataclass
from typing import Any

from underdog.recipe.reinforcement import Reset

PATIENCE = 2  # looks at the validation problems without a new best that count as a stall (ours)


@dataclass(frozen=True)
class Resets:
    """Decides on resets; all it remembers lives in `memory`, which survives a resume."""

    settings: Reset
    memory: dict[str, Any]

    def is_best(self, validation: float) -> bool:
        """Whether no look of the whole run was better; notes the score."""
        best = self.memory.get("best_validation")
        if best is not None and validation < best:
            return False
        self.memory["best_validation"] = validation
        return True

    def collapsed(self, validation: float) -> bool:
        return validation < self.settings.rollback * self.memory.get("best_validation", 0.0)

    def due(self, step: int, validation: float) -> str | None:
        """Why a reset is due before this step, given a fresh validation score; None when it is not."""
        record = self._record(validation)
        if validation > record["best"]:
            record.update(best=validation, stale=0)
        elif step > record["last"]:
            record["stale"] += 1
        if self.settings.every and step - record["last"] >= self.settings.every:
            return self.note(step, validation, f"{step - record['last']} steps since the last")
        if self.settings.on_stall and record["stale"] >= PATIENCE:
            return self.note(step, validation, f"validation has not risen in {record['stale']} looks")
        return None

    def spiked(self, step: int, kl: float) -> str | None:
        """Why a reset is due before this step, given the last one's mean KL to the reference (nats a token)."""
        if not self.settings.on_kl or kl <= self.settings.on_kl:
            return None
        return self.note(step, self._record(0.0)["best"], f"KL to the reference rose to {kl:.3g}")

    def note(self, step: int, validation: float, why: str) -> str:
        """Counts from here on: a reset was made before this step, at this score."""
        self._record(validation).update(last=step, best=validation, stale=0)
        return why

    def _record(self, validation: float) -> dict[str, Any]:
        return self.memory.setdefault("resets", {"last": 0, "best": validation, "stale": 0})
