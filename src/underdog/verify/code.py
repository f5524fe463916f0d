"""Code: all tests are run, and the reward is the share that passed. Nothing a model wrote runs in this process.

data is one of

    {"cases": [{"input": "3\\n", "output": "6\\n"}]}                            a program, by its standard output
    {"function": "f", "cases": [{"arguments": [3], "expected": 6}]}            a function, by what it returns
    {"tests": "assert f(3) == 6", "entry": null, "prelude": "", "names": []}   assertions (sandbox/examiner.py)

and may say "seconds" (5): CPU time for all tests together, above which the reward is 0 (ProRL, arXiv 2505.24864).
Expected values stay here; assertions run in a process of their own.
"""

import ast
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from underdog.verify.problem import Outcome, Verdict
from underdog.verify.registry import needs, short, verifier
from underdog.verify.sandbox.choose import sandbox
from underdog.verify.sandbox.job import Job, Report
from underdog.verify.sandbox.values import Unknown, decode, encode

SECONDS = 5.0
_FENCED = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_UNREADABLE = ("SyntaxError", "IndentationError", "TabError")
_CLOSE = 1e-6  # relative, for floating-point results


def check(data: Mapping[str, Any]) -> None:
    """Raises ValueError for data that is none of the three forms."""
    if "tests" in data:
        needs(data, tests=str)
        tests = ast.parse(data["tests"])
        if not any(isinstance(node, ast.Assert) for node in ast.walk(tests)):
            raise ValueError('"tests" in "data" asserts nothing')
        return
    needs(data, cases=list)
    wanted = {"arguments": list} if "function" in data else {"input": str, "output": str}
    if not data["cases"]:
        raise ValueError('"cases" in "data" is empty')
    for case in data["cases"]:
        needs(case, **wanted)


@verifier("code", check=check, apart=True)
def code(answer: str, data: Mapping[str, Any]) -> Verdict:
    """The share of tests that the code in `answer` passes."""
    source = extract(answer, data.get("function") or data.get("entry"))
    limits = {"seconds": float(data.get("seconds", SECONDS))}
    if "tests" in data:
        texts = {name: data[name] for name in ("prelude", "entry", "names") if name in data}
        source = f"{texts.get('prelude', '')}\n{source}"
        return _verdict(sandbox().run(Job(source, tests=data["tests"], **texts, **limits)), _examined)
    cases = data["cases"]
    if "function" in data:
        calls = [(data["function"], [encode(value) for value in case["arguments"]]) for case in cases]
        report = sandbox().run(Job(source, calls=calls, **limits))
        return _verdict(report, lambda found: _count(cases, found, _returned))
    report = sandbox().run(Job(source, inputs=[case["input"] for case in cases], **limits))
    return _verdict(report, lambda found: _count(cases, found, _printed))


def extract(answer: str, name: str | None = None) -> str:
    """The code in an answer: its last fenced block, the last one that defines `name` where one does, else all of it."""
    blocks = [text for language, text in _FENCED.findall(answer) if language.lower() in ("", "python", "python3", "py")]
    defining = [text for text in blocks if name and re.search(rf"^\s*(def|class)\s+{re.escape(name)}\b", text, re.M)]
    return (defining or blocks or [answer])[-1]


def _verdict(report: Report, count) -> Verdict:
    if report.ending == "timed out":
        return Verdict.timed_out("the tests took longer than allowed")
    if report.ending == "crashed":
        return Verdict.crashed("the sandbox's process ended")
    passed, total, why = count(report.cases)
    if not passed and why.startswith(_UNREADABLE):
        return Verdict.unparsable(why)
    return Verdict(
        Outcome.RIGHT if passed == total else Outcome.WRONG,
        passed / total,
        f"{passed} of {total} tests passed" + (f"; {short(why, 120)}" if why else ""),
    )


def _examined(found: Sequence[Mapping[str, Any]]) -> tuple[int, int, str]:
    """Of the report that the process with the tests gave."""
    try:
        passed, total, why = found[0]["passed"], found[0]["total"], str(found[0]["why"])
    except (IndexError, KeyError):  # the tests themselves ended early, by a limit
        return 0, 1, "the tests did not end well"
    return passed, max(total, 1), why


def _count(cases: Sequence[Mapping], found: Sequence[Mapping], judge) -> tuple[int, int, str]:
    reasons = [judge(case, result) for case, result in zip(cases, found, strict=False)]
    reasons += ["not run"] * (len(cases) - len(reasons))
    failed = [(number, why) for number, why in enumerate(reasons, start=1) if why]
    first = failed[0] if failed else None
    if first and first[1].startswith(_UNREADABLE):
        return 0, len(cases), first[1]
    return len(cases) - len(failed), len(cases), f"test {first[0]}: {first[1]}" if first else ""


def _printed(case: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Why a program's run failed; empty where it did not."""
    if result.get("error"):
        return str(result["error"])
    output = str(result.get("output", ""))
    return "" if same_output(output, case["output"]) else f"printed {short(output)}, not {short(case['output'])}"


def same_output(output: str, expected: str) -> bool:
    """Equal but for white space at the ends of lines, and for rounding where a decimal fraction is expected."""
    lines, wanted = ([line.split() for line in text.strip().splitlines()] for text in (output, expected))
    return len(lines) == len(wanted) and all(
        len(given) == len(right) and all(map(_same_word, given, right))
        for given, right in zip(lines, wanted, strict=True)
    )


def _same_word(given: str, wanted: str) -> bool:
    if given == wanted:
        return True
    try:
        return "." in wanted and math.isclose(float(given), float(wanted), rel_tol=_CLOSE, abs_tol=_CLOSE)
    except ValueError:
        return False


def _returned(case: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    if "value" not in result:
        return str(result.get("error") or "no value")
    try:
        value = decode(result["value"])
    except Unknown as unknown:
        return f"returned {unknown}"
    return "" if same_value(value, case.get("expected")) else f"returned {short(repr(value))}"


def same_value(value: Any, expected: Any) -> bool:
    """Equality where JSON wrote down what is expected: tuples are lists, keys are strings, fractions are rounded."""
    if isinstance(expected, list):
        return isinstance(value, list | tuple) and len(value) == len(expected) and all(map(same_value, value, expected))
    if isinstance(expected, dict):
        return (
            isinstance(value, dict)
            and (given := {str(key): item for key, item in value.items()}).keys() == expected.keys()
            and all(same_value(given[key], expected[key]) for key in expected)
        )
    if isinstance(expected, float) and isinstance(value, int | float):
        return math.isclose(value, expected, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return type(value) is type(expected) and value == expected
