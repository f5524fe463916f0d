"""Environments written for the `verifiers` library's interface: one turn, a data set, a rubric of reward functions.

A Python file with `load_environment()` is named among `problems.files`; an installed environment takes a file of one
line: `from my_environment import load_environment`. It is the user's code, not the model's: it runs in a killable
worker with the user's rights. data: {"environment": path, "row": {"prompt", "answer", "info", "task"}}.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from underdog.errors import UserError
from underdog.lanes import cores
from underdog.verify.problem import Verdict
from underdog.verify.registry import needs, short, verifier
from underdog.verify.workers import Crashed, Pool, TimedOut, Worker, python

SECONDS = 30.0


def check(data: Mapping[str, Any]) -> None:
    """Raises ValueError for data without an environment or a row of it."""
    needs(data, environment=str, row=dict)


@verifier("environment", check=check, apart=True)
def environment(answer: str, data: Mapping[str, Any]) -> Verdict:
    """The rubric's weighted mean of its reward functions, held between 0 and 1."""
    try:
        found = _ask({"do": "score", "path": data["environment"], "row": data["row"], "answer": answer})
    except TimedOut:
        return Verdict.timed_out(f"the rubric took more than {SECONDS:.0f} s")
    except Crashed as why:
        return Verdict.crashed(f"the rubric ended on {short(answer)}: {why}")
    if "problem" in found:
        return Verdict.crashed(found["problem"])
    parts = ", ".join(f"{name} {value:g}" for name, value in found["rewards"].items())
    return Verdict.share(min(1.0, max(0.0, found["reward"])), parts)


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of an environment's data set. Raises UserError where the file holds no environment of one turn."""
    try:
        found = _ask({"do": "rows", "path": str(path.absolute())})
    except (TimedOut, Crashed) as why:
        ended = f"took more than {SECONDS:.0f} s to load" if isinstance(why, TimedOut) else f"cannot be loaded: {why}"
        raise UserError(f"{path}: {ended}.", hint="Run the file alone to see more.") from why
    if "problem" in found:
        raise UserError(f"{path}: {found['problem']}.", hint="docs/problems.md says what an environment needs.")
    return found["rows"]


@cache
def _pool() -> Pool[Worker]:
    return Pool(lambda: Worker(python("underdog.verify.environment_worker")), cores())


def _ask(message: Mapping[str, Any]) -> dict[str, Any]:
    with _pool().lend() as worker:
        return worker.ask({**message, "seconds": SECONDS}, 4 * SECONDS)
