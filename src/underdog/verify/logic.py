"""Logic: every task of reasoning-gym (arXiv 2505.24760), judged by the task's own scorer in a killable worker.

data: {"task": "sudoku", "entry": {"question", "answer", "metadata"}, "config": {"min_empty": 30}}

The answer is what the last <answer></answer> holds, else all of it. A score of 1 is right; scores below it are partial
credit as the task defines it. logic_worker.py says what of reasoning-gym is replaced: it evaluates answers as Python.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from underdog.errors import UserError
from underdog.lanes import cores
from underdog.verify.answers import expression
from underdog.verify.problem import Verdict
from underdog.verify.registry import needs, short, verifier
from underdog.verify.workers import Crashed, Pool, TimedOut, Worker, python

SECONDS = 10.0
LONGEST = 20_000  # characters of an answer
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def check(data: Mapping[str, Any]) -> None:
    """Raises ValueError for an entry that its task does not know."""
    needs(data, task=str, entry=dict)
    needs(data["entry"], metadata=dict)


@verifier("reasoning-gym", check=check, apart=True)
def reasoning_gym(answer: str, data: Mapping[str, Any]) -> Verdict:
    """reasoning-gym's own score, 0..1."""
    tagged = _TAGGED.findall(answer)
    answer = tagged[-1].strip() if tagged else answer
    if (target := _arithmetic(data)) is not None:
        return expression(answer, {"numbers": data["entry"]["metadata"]["numbers"], "target": target})
    if len(answer) > LONGEST:
        return Verdict.unparsable(f"an answer of {len(answer):,} characters")
    message = {name: data[name] for name in ("task", "entry", "config") if name in data}
    try:
        found = ask_gym({"do": "score", "answer": answer, **message}, SECONDS)
    except TimedOut:
        return Verdict.timed_out(f"judging {short(answer)} took more than {SECONDS:.0f} s")
    except Crashed as why:
        return Verdict.crashed(f"reasoning-gym ended on {short(answer)}: {why}")
    if "problem" in found:
        raise ValueError(found["problem"])
    if "unparsable" in found:
        return Verdict.unparsable(f"{short(answer)}: {short(found['unparsable'], 80)}")
    score = min(1.0, max(0.0, found["score"]))
    return Verdict.share(score, f"{short(answer)} is right" if score >= 1 else f"{short(answer)} scores {score:.2f}")


def _arithmetic(data: Mapping[str, Any]) -> int | None:
    """The target of a task that our own parser judges; puzzle24's scorer accepts numbers that were not given."""
    if data["task"] == "countdown":
        return data["entry"]["metadata"]["target"]
    return 24 if data["task"] == "puzzle24" else None


def ask_gym(message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What the worker answers. Raises TimedOut, Crashed, and UserError where reasoning-gym is not installed."""
    with _pool().lend() as worker:
        return worker.ask({**message, "seconds": seconds}, 4 * seconds)


@cache
def _pool() -> Pool[Worker]:
    require()
    return Pool(lambda: Worker(python("underdog.verify.logic_worker")), cores())


def require() -> None:
    """Raises UserError where reasoning-gym is not installed."""
    from importlib.util import find_spec

    if find_spec("reasoning_gym") is None:
        raise UserError(
            "These problems need reasoning-gym, which is not installed.", hint='pip install "underdog[problems]"'
        )
