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

    def look(self, validation: float) -> bool:
        """Takes note of a fresh validation score; whether none of the whole run was better."""
        self._record()["newest"] = validation
        best = self.memory.get("best_validation")
        if best is not None and validation < best:
            return False
        self.memory["best_validation"] = validation
        return True

    def collapsed(self) -> bool:
        return self._record()["newest"] < self.settings.rollback * self.memory.get("best_validation", 0.0)

    def stalled(self, step: int) -> str | None:
        """Why the newest score makes a reset due before this step; None when it does not."""
        record = self._record()
        if record["newest"] > record["best"]:
            record.update(best=record["newest"], stale=0)
        elif step > record["last"]:
            record["stale"] += 1
        if self.settings.on_stall and record["stale"] >= PATIENCE:
            return self.note(step, f"validation has not risen in {record['stale']} looks")
        return None

    def due(self, step: int) -> str | None:
        """The same by the count of steps."""
        since = step - self._record()["last"]
        return self.note(step, f"{since} steps since the last") if 0 < self.settings.every <= since else None

    def spiked(self, step: int, kl: float) -> str | None:
        """The same by the mean KL to the reference (nats a token) in the step before."""
        return self.note(step, f"KL to the reference rose to {kl:.3g}") if 0 < self.settings.on_kl < kl else None

    def note(self, step: int, why: str) -> str:
        """Counts from here on: a reset was made before this step, and the newest score is the one to beat."""
        record = self._record()
        record.update(last=step, best=record["newest"], stale=0)
        return why

    def _record(self) -> dict[str, Any]:
        return self.memory.setdefault("resets", {"last": 0, "best": -1.0, "newest": -1.0, "stale": 0})
