"""Problems on disk: one JSON object per line, one format for users' files and ours (docs/problems.md)."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from underdog.errors import UserError, nearest
from underdog.tokens.messages import Message, Role
from underdog.verify.answers import parse_number
from underdog.verify.identity import problem_id, prompt_key
from underdog.verify.problem import Problem, Worked
from underdog.verify.registry import VerifierFailed, get_verifier, verify

_NEEDS = 'Each problem needs "prompt" and "answer" (docs/problems.md).'
_OUR_ID = re.compile("[0-9a-f]{16}")
_FIELDS = ("prompt", "answer", "reasoning", "verifier", "data", "domain", "task", "id")


def read_problems(path: str | Path) -> list[Problem]:
    """All problems of a JSON Lines file. `task` defaults to the file's name without its ending.

    Raises UserError, with file and line, for what is missing or malformed and for an answer that its own
    verifier rejects.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # not splitlines: JSON strings may hold U+2028
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}.", hint="Check the name of the file.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 (byte {error.start}).", hint="Save it as UTF-8.") from error
    problems = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                problems.append(_problem(line, path.stem))
            except _Bad as bad:
                raise UserError(f"{path} line {number}: {bad}", hint=bad.hint) from bad
    if not problems:
        raise UserError(f"{path}: holds no problems.", hint=_NEEDS)
    return problems


def write_problems(path: str | Path, problems: Iterable[Problem]) -> None:
    """Write problems one a line; `read_problems` gives back equal ones."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for problem in problems:
            file.write(json.dumps(_record(problem), ensure_ascii=False) + "\n")


def reference_answer(problem: Problem) -> str | None:
    """The right answer, where one is written down."""
    return problem.worked.answer if problem.worked else problem.data.get("answer")


class _Bad(Exception):
    """What is wrong with a line; the caller adds where."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def _problem(line: str, stem: str) -> Problem:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Bad(f"is not JSON: {error}.") from error
    if "\\ud" in line.lower():  # JSON can spell half a character, which no file can hold
        try:
            json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise _Bad("holds half of a surrogate pair (\\ud800 to \\udfff).") from error
    if not isinstance(record, dict):
        raise _Bad(f"is not a JSON object. {_NEEDS}")
    for name in ("prompt", "answer"):
        if record.get(name) in (None, ""):
            near = nearest(name, [key for key in record if key not in _FIELDS])
            raise _Bad(f'"{name}" is missing. {_NEEDS}', f'Is "{near}" meant?' if near else None)
    for name in ("answer", "reasoning", "verifier", "domain", "task"):
        if not isinstance(record.get(name), str | None):
            raise _Bad(f'"{name}" must be a string. {_NEEDS}', f'Write "{name}": "{record[name]}".')
    prompt = _prompt(record["prompt"])
    problem = _build(record, prompt, stem)
    _check(problem, record["answer"])
    return problem


def _prompt(given: Any) -> tuple[Message, ...]:
    if isinstance(given, str):
        return (Message("user", given),)
    wanted = 'a string or a list of messages {"role": "user", "content": "…"}, the last one the user\'s'
    messages = []
    for message in given if isinstance(given, list) else ():
        if (
            not isinstance(message, dict)
            or message.get("role") not in get_args(Role)
            or not isinstance(message.get("content"), str)
            or not isinstance(message.get("reasoning"), str | None)
        ):
            raise _Bad(f'"prompt" must be {wanted}.')
        messages.append(Message(message["role"], message["content"], message.get("reasoning")))
    if not messages or messages[-1].role != "user":
        raise _Bad(f'"prompt" must be {wanted}.')
    return tuple(messages)


def _build(record: dict[str, Any], prompt: tuple[Message, ...], stem: str) -> Problem:
    answer, reasoning = record["answer"], record.get("reasoning")
    data = record.get("data") or {"answer": answer}
    if not isinstance(data, dict):
        raise _Bad('"data" must be an object: what the verifier needs (docs/problems.md).')
    if not reasoning:
        data = {"answer": answer, **data}
    given_id = record.get("id")
    ours = isinstance(given_id, str) and _OUR_ID.fullmatch(given_id)  # users number their lines as they like
    return Problem(
        id=given_id if ours else problem_id("", prompt_key(prompt)),
        prompt=prompt,
        verifier=record.get("verifier") or ("text" if parse_number(answer) is None else "number"),
        data=data,
        domain=record.get("domain") or "logic",
        task=record.get("task") or stem,
        worked=Worked(reasoning, answer) if reasoning else None,
    )


def _check(problem: Problem, answer: str) -> None:
    """The file's own answer must pass: a typing error found here is not found after an hour of training."""
    try:
        get_verifier(problem.verifier)
    except UserError as error:
        raise _Bad(str(error), error.hint) from error
    try:
        verdict = verify(problem, answer)
    except VerifierFailed as error:
        cause = error.__cause__
        why = f'"data" lacks {cause}' if isinstance(cause, KeyError) else str(cause)
        raise _Bad(f'verifier "{problem.verifier}" cannot judge this: {why} (docs/problems.md).') from error
    if verdict.reward < 1:
        raise _Bad(f'verifier "{problem.verifier}" rejects the file\'s own answer: {verdict.detail}.')


def _record(problem: Problem) -> dict[str, Any]:
    answer = reference_answer(problem)
    if answer is None:
        raise ValueError(f"problem {problem.id} has no answer to write")
    record: dict[str, Any] = {"id": problem.id, "task": problem.task, "domain": problem.domain}
    if len(problem.prompt) == 1 and problem.prompt[0] == Message("user", problem.prompt[0].content):
        record["prompt"] = problem.prompt[0].content
    else:
        record["prompt"] = [
            {key: value for key in ("role", "content", "reasoning") if (value := getattr(message, key)) is not None}
            for message in problem.prompt
        ]
    if problem.worked:
        record["reasoning"] = problem.worked.reasoning
    return record | {"answer": answer, "verifier": problem.verifier, "data": dict(problem.data)}
