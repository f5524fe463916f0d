"""Mathematics: two independent judges, either of which may accept (ProRL, arXiv 2505.24864).

The first is math-verify, which compares numerically and symbolically. SymPy can take for ever on a short expression, so
it runs in a worker that is killed when its time is over; that is a verdict of its own, never a silent "wrong". The
second knows only exact numbers and equal writing, and runs here.

data: {"answer": "\\\\frac{3}{4}"}: the right answer as plain text or LaTeX, with or without $ or \\\\boxed{}.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from underdog.errors import extra
from underdog.lanes import cores
from underdog.verify.answers import parse_number
from underdog.verify.problem import Verdict
from underdog.verify.registry import needs, short, verifier
from underdog.verify.workers import Crashed, Pool, TimedOut, Worker, python

SECONDS = 5.0
LONGEST = 500  # characters of a final answer
_ANNOUNCED = re.compile(r"(?:final answer|answer)(?:\s+is)?\s*[:=]?\s*|####\s*", re.IGNORECASE)


def check(data: Mapping[str, Any]) -> None:
    """Raises ValueError for an answer that cannot be read."""
    needs(data, answer=str)
    gold = final_answer(data["answer"])
    if not re.search(r"\w", gold) or len(gold) > LONGEST:
        raise ValueError(f'the answer "{short(gold)}" is no mathematics that can be read')


@verifier("math", check=check, apart=True)
def mathematics(answer: str, data: Mapping[str, Any]) -> Verdict:
    """Equality of the final answer: what the last \\boxed{} holds, what follows "answer is" or ####, or the last
    line."""
    gold, given = final_answer(data["answer"]), final_answer(answer)
    if not given:
        return Verdict.unparsable("no final answer")
    if len(given) > LONGEST:
        return Verdict.unparsable(f"a final answer of {len(given):,} characters")
    if same_writing(given, gold):
        return Verdict.right(f"{short(given)} is right")
    try:
        found = _ask({"gold": gold, "answer": given})
    except TimedOut:
        return Verdict.timed_out(f"comparing {short(given)} took more than {SECONDS:.0f} s")
    except Crashed as why:
        return Verdict.crashed(f"math-verify ended on {short(given)}: {why}")
    if found["equal"]:
        return Verdict.right(f"{short(given)} equals {short(gold)}")
    if not found["parsed"] and _exact(given) is None:
        return Verdict.unparsable(f"{short(given)} is no mathematics that can be read")
    return Verdict.wrong(f"{short(given)} is not {short(gold)}")


def final_answer(text: str) -> str:
    """The one expression in a text that is judged."""
    if (boxed := _last_boxed(text)) is not None:
        return boxed.strip()
    line = [line for line in text.strip().splitlines() or [""] if line.strip()][-1:]
    found = list(_ANNOUNCED.finditer(text))
    if found and (rest := text[found[-1].end() :].strip()):
        line = rest.splitlines()[:1]
    return _bare(line[0]) if line else ""


def _last_boxed(text: str) -> str | None:
    """What the last \\boxed{…} holds, braces matched."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    start = text.index("{", start) + 1
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start:place]
    return None


def _bare(line: str) -> str:
    """Without the marks around it: $, **, a full stop."""
    line = line.strip().strip("*").strip().removesuffix(".").strip()
    for left, right in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if line.startswith(left) and line.endswith(right) and len(line) > len(left) + len(right):
            line = line[len(left) : -len(right)]
            break
    return line.strip()


_SPACES = re.compile(r"\\[,;:! ]|~|\\q?quad\b|\\left\b|\\right\b|\s+|\\displaystyle\b")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf)\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_SHORT_FRACTION = re.compile(r"\\[dt]?frac(\d)(\d)")


def same_writing(given: str, gold: str) -> bool:
    """The second judge: equal as exact numbers, item by item in tuples, or written alike but for LaTeX's spacing."""
    first, second = _written(given), _written(gold)
    if first == second:
        return bool(first)
    if first[:1] + first[-1:] == second[:1] + second[-1:] and first[:1] in ("(", "["):
        ours, theirs = first[1:-1].split(","), second[1:-1].split(",")
        return len(ours) == len(theirs) > 1 and all(_same_number(a, b) for a, b in zip(ours, theirs, strict=True))
    return _same_number(first, second)


def _same_number(first: str, second: str) -> bool:
    value = _exact(second)
    return first == second or (value is not None and _exact(first) == value)


def _written(text: str) -> str:
    text = _TEXT.sub(r"\1", _SPACES.sub("", text).replace("\\$", "").replace("$", ""))
    text = _SHORT_FRACTION.sub(r"\1/\2", _FRACTION.sub(r"\1/\2", text))
    return text.replace("{,}", ",").replace("^{\\circ}", "").replace("^\\circ", "").removesuffix(".")


def _exact(text: str) -> Fraction | None:
    """The value of a number as people and LaTeX write it: 1,000, -3/4, \\frac{3}{4}, 12.5\\%."""
    text = _written(text)
    percent = text.endswith("%")
    value = parse_number(text.removesuffix("%").removesuffix("\\") if percent else text)
    return value / 100 if percent and value is not None else value


@cache
def _pool() -> Pool[Worker]:
    with extra("verify", 'The verifier "math"'):
        import math_verify  # noqa: F401
    return Pool(lambda: Worker(python("underdog.verify.math_worker")), cores())


def _ask(message: Mapping[str, str]) -> dict[str, bool]:
    with _pool().lend() as worker:
        return worker.ask({**message, "seconds": SECONDS}, 4 * SECONDS)
