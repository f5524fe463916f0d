"""Verifiers by name, and the one way to ask for a verdict.

    @verifier("number")
    def number(answer: str, data: Mapping[str, Any]) -> Verdict: ...

A verifier gets what the model answered, stripped of white space, and the problem's data. It takes bounded
time and never raises on any answer, however hostile; it may raise when the problem's own data is malformed.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.lanes import cores
from underdog.verify.problem import Problem, Verdict

Judge = Callable[[str, Mapping[str, Any]], Verdict]

_HOMES = ("answers", "mathematics", "science", "code", "logic", "instructions", "environment")
"""Modules of this folder that register verifiers; what they need beyond Python they import when it is used."""
_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(frozen=True)
class Verifier:
    """How answers are judged."""

    judge: Judge
    check: Callable[[Mapping[str, Any]], None]  # raises where a problem's data cannot be judged by
    apart: bool  # in processes of its own, so that several answers are judged at once


_VERIFIERS: dict[str, Verifier] = {}


class VerifierFailed(Exception):
    """A verifier raised: a malformed problem, or a bug in the verifier."""


def verifier(
    name: str, *, check: Callable[[Mapping[str, Any]], None] = lambda data: None, apart: bool = False
) -> Callable[[Judge], Judge]:
    """Register a verifier under `name`."""

    def register(function: Judge) -> Judge:
        _VERIFIERS[name] = Verifier(function, check, apart)
        return function

    return register


@cache
def _fill() -> None:
    for home in _HOMES:
        importlib.import_module(f"underdog.verify.{home}")


def get_verifier(name: str) -> Verifier:
    """The verifier called `name`; an unknown name is the user's mistake."""
    _fill()
    if name not in _VERIFIERS:
        raise UserError(f'There is no verifier "{name}".', hint=did_you_mean(name, _VERIFIERS))
    return _VERIFIERS[name]


def verify(problem: Problem, completion: str) -> Verdict:
    """Judge a completion by what follows its last `</think>`.

    Without any think tag the whole completion is the answer. Reasoning that was opened and not closed earns
    nothing; where the chat template opens it at the end of the prompt, pass that `<think>` along.

    A verifier that raises costs this verdict. Raises UserError for an unknown verifier, and where the machine lacks
    what the verifier needs.
    """
    try:
        return judge(problem, completion)
    except VerifierFailed as failure:
        return Verdict.crashed(str(failure))


class Judging:
    """Judges answers as they come: those that other processes judge at once, side by side, the others when asked."""

    def __init__(self):
        self._threads = ThreadPoolExecutor(cores(), "judge")

    def __enter__(self) -> "Judging":
        return self

    def __exit__(self, *ended: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def begin(self, problem: Problem, completion: str) -> Callable[[], Verdict]:
        """What gives the verdict, and waits for it where it must."""
        if get_verifier(problem.verifier).apart:
            return self._threads.submit(verify, problem, completion).result
        return partial(verify, problem, completion)


def verify_all(pairs: Iterable[tuple[Problem, str]]) -> list[Verdict]:
    """The verdicts on (problem, completion) pairs, in order."""
    with Judging() as judging:
        return [verdict() for verdict in [judging.begin(*pair) for pair in pairs]]


def judge(problem: Problem, completion: str) -> Verdict:
    """As `verify`, but raises VerifierFailed, with the problem's id, when the verifier raises."""
    chosen = get_verifier(problem.verifier)
    answer = completion.rpartition(_CLOSE)[2]
    if _OPEN in answer:
        return Verdict.unparsable("unclosed reasoning")
    answer = answer.strip()
    if not answer:
        return Verdict.unparsable("no answer")
    try:
        return chosen.judge(answer, problem.data)
    except UserError:
        raise
    except Exception as error:
        raise VerifierFailed(
            f'Verifier "{problem.verifier}" failed on problem {problem.id} '
            f"({problem.task or problem.domain}): {type(error).__name__}: {error}"
        ) from error


def needs(data: Mapping[str, Any], **kinds: type | tuple[type, ...]) -> None:
    """Raises ValueError unless `data` holds values of these kinds: what most checks begin with."""
    if not isinstance(data, Mapping):
        raise ValueError(f'in "data", {short(str(data))} is not an object')
    for name, kind in kinds.items():
        if not isinstance(data.get(name), kind):
            raise ValueError(f'"data" lacks "{name}"' if name not in data else f'"{name}" in "data" is of a wrong kind')


def short(text: str, most: int = 40) -> str:
    """One line of at most `most` characters, for a verdict's detail."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else line[: most - 1] + "…"
