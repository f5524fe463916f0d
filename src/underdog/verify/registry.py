"""Verifiers by name, and the one way to ask for a verdict.

    @verifier("number")
    def number(answer: str, data: Mapping[str, Any]) -> Verdict: ...

A verifier gets what the model answered, stripped of white space, and the problem's data. It takes bounded
time and never raises on any answer, however hostile; it may raise when the problem's own data is malformed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.verify.problem import Problem, Verdict

Verifier = Callable[[str, Mapping[str, Any]], Verdict]

_VERIFIERS: dict[str, Verifier] = {}
_OPEN, _CLOSE = "<think>", "</think>"


class VerifierFailed(Exception):
    """A verifier raised: a malformed problem, or a bug in the verifier. It is never a reward of 0."""


def verifier(name: str) -> Callable[[Verifier], Verifier]:
    """Register a verifier under `name`."""

    def register(function: Verifier) -> Verifier:
        _VERIFIERS[name] = function
        return function

    return register


def get_verifier(name: str) -> Verifier:
    """The verifier called `name`; an unknown name is the user's mistake."""
    if name not in _VERIFIERS:
        raise UserError(f'There is no verifier "{name}".', hint=did_you_mean(name, _VERIFIERS))
    return _VERIFIERS[name]


def verify(problem: Problem, completion: str) -> Verdict:
    """Judge a completion by what follows its last `</think>`.

    Without any think tag the whole completion is the answer. Reasoning that was opened and not closed earns
    nothing; where the chat template opens it at the end of the prompt, pass that `<think>` along.

    Raises UserError for an unknown verifier; VerifierFailed, with the problem's id, when the verifier raises.
    """
    judge = get_verifier(problem.verifier)
    answer = completion.rpartition(_CLOSE)[2]
    if _OPEN in answer:
        return Verdict(0.0, "unclosed reasoning")
    answer = answer.strip()
    if not answer:
        return Verdict(0.0, "no answer")
    try:
        return judge(answer, problem.data)
    except Exception as error:
        raise VerifierFailed(
            f'Verifier "{problem.verifier}" failed on problem {problem.id} '
            f"({problem.task or problem.domain}): {type(error).__name__}: {error}"
        ) from error
