"""Problems as records: users' form and ours (docs/problems.md), rows of published sets and of environments."""

import json
import re
from pathlib import Path
from typing import Any, get_args

from underdog.errors import UserError, nearest
from underdog.tokens.messages import Message, Role
from underdog.verify.answers import parse_number
from underdog.verify.formats import Parts
from underdog.verify.identity import problem_id, prompt_key
from underdog.verify.problem import Outcome, Problem, Worked, reference_answer
from underdog.verify.registry import VerifierFailed, get_verifier, judge

NEEDS = 'Each problem needs "prompt" and "answer" (docs/problems.md).'
_OUR_ID = re.compile("[0-9a-f]{16}")
_FIELDS = ("prompt", "answer", "reasoning", "verifier", "data", "domain", "task", "id", "metadata")


MALFORMED = (ValueError, TypeError, LookupError, AttributeError, SyntaxError)
"""What reading and checking a record raise where it is not made as they expect."""


class Bad(Exception):
    """What is wrong with a line; the caller adds where."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def parsed(line: str) -> Any:
    """The JSON of a line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Bad(f"is not JSON: {error}.") from error
    if "\\ud" in line.lower():  # JSON can spell half a character, which no file can hold
        try:
            json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise Bad("holds half of a surrogate pair (\\ud800 to \\udfff).") from error
    return record


def read_own(record: Any, stem: str) -> Problem:
    """A record of a user's own file; its own answer has to pass its verifier.

    Raises:
        Bad: what is wrong with it.
    """
    if not isinstance(record, dict):
        raise Bad(f"is not a JSON object. {NEEDS}")
    judged_by_data = record.get("verifier") and record.get("data")
    for name in ("prompt",) if judged_by_data else ("prompt", "answer"):
        if record.get(name) in (None, ""):
            near = nearest(name, [key for key in record if key not in _FIELDS])
            raise Bad(f'"{name}" is missing. {NEEDS}', f'Is "{near}" meant?' if near else None)
    for name in ("answer", "reasoning", "verifier", "domain", "task"):
        if not isinstance(record.get(name), str | None):
            raise Bad(f'"{name}" must be a string. {NEEDS}', f'Write "{name}": "{record[name]}".')
    prompt = _prompt(record["prompt"])
    problem = _built(record, prompt, stem)
    _check(problem, record.get("answer") or reference_answer(problem))
    return problem


def read_ours(record: Any, stem: str) -> Problem:
    """What `write_record` wrote: judged when it was loaded."""
    return _built(record, _prompt(record["prompt"]), stem)


def read_published(parts: Parts, record: dict[str, Any], stem: str) -> Problem:
    """A row of a published set, of which `parts` have been understood."""
    prompt = _prompt(parts.prompt)
    metadata = {name: record[name] for name in ("task_id", "key", "level", "subject", "difficulty") if name in record}
    return Problem(
        id=problem_id("", prompt_key(prompt)),
        prompt=prompt,
        verifier=parts.verifier,
        data=parts.data,
        domain=parts.domain,
        task=stem,
        worked=parts.worked,
        metadata=metadata,
    )


def read_environment(path: Path, row: dict[str, Any]) -> Problem:
    """A row of the data set of the environment in the file `path`."""
    try:
        prompt = _prompt(row["prompt"])
    except Bad as bad:
        raise UserError(f"{path}: a row's {bad}") from bad
    return Problem(
        id=problem_id("", prompt_key(prompt)),
        prompt=prompt,
        verifier="environment",
        data={"environment": str(path.absolute()), "row": row},
        domain="environment",
        task=path.stem,
    )


def write_record(problem: Problem) -> dict[str, Any]:
    """A problem as JSON, in the form of users' files."""
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
    answer = problem.worked.answer if problem.worked else problem.data.get("answer")
    if isinstance(answer, str):
        record["answer"] = answer
    if problem.metadata:
        record["metadata"] = dict(problem.metadata)
    return record | {"verifier": problem.verifier, "data": dict(problem.data)}


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
            raise Bad(f'"prompt" must be {wanted}.')
        messages.append(Message(message["role"], message["content"], message.get("reasoning")))
    if not messages or messages[-1].role != "user":
        raise Bad(f'"prompt" must be {wanted}.')
    return tuple(messages)


def _built(record: dict[str, Any], prompt: tuple[Message, ...], stem: str) -> Problem:
    answer, reasoning = record.get("answer"), record.get("reasoning")
    data = record.get("data") or {"answer": answer}
    if not isinstance(data, dict):
        raise Bad('"data" must be an object: what the verifier needs (docs/problems.md).')
    if not reasoning and answer is not None:
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
        worked=Worked(reasoning, answer) if reasoning and answer else None,
        metadata=record.get("metadata") or {},
    )


def _check(problem: Problem, answer: str | None) -> None:
    """The file's own answer must pass: a typing error found here is not found after an hour of training."""
    try:
        get_verifier(problem.verifier).check(problem.data)
        verdict = judge(problem, answer) if answer is not None else None
    except UserError as error:
        raise Bad(str(error), error.hint) from error
    except (VerifierFailed, *MALFORMED) as error:
        cause = error.__cause__ if isinstance(error, VerifierFailed) else error
        why = f'"data" lacks {cause}' if isinstance(cause, KeyError) else str(cause)
        raise Bad(f'verifier "{problem.verifier}" cannot judge this: {why} (docs/problems.md).') from error
    if verdict and verdict.outcome is not Outcome.RIGHT:
        raise Bad(f'verifier "{problem.verifier}" rejects the file\'s own answer: {verdict.detail}.')
