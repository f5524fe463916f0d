"""Problems on disk: one JSON object per line, one format for users' files and ours (docs/problems.md).

`load_problems` also reads the published sets' own formats (formats.py), from JSON Lines, gzipped or not, and Parquet.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from underdog.errors import UserError, nearest
from underdog.tokens.messages import Message, Role
from underdog.verify import environment
from underdog.verify.answers import parse_number
from underdog.verify.formats import Unusable, recognise
from underdog.verify.identity import problem_id, prompt_key
from underdog.verify.problem import Outcome, Problem, Worked
from underdog.verify.registry import VerifierFailed, get_verifier, judge, verify_all

_NEEDS = 'Each problem needs "prompt" and "answer" (docs/problems.md).'
_OUR_ID = re.compile("[0-9a-f]{16}")
_FIELDS = ("prompt", "answer", "reasoning", "verifier", "data", "domain", "task", "id", "metadata")


@dataclass(frozen=True)
class Rejected:
    """A row of a published set that is set aside."""

    line: int  # from 1 on
    why: str


@dataclass(frozen=True)
class Loaded:
    """What a file held."""

    problems: list[Problem]
    rejected: list[Rejected]


def load_problems(path: str | Path) -> Loaded:
    """All problems of a user's file. `task` defaults to the file's name without its ending.

    A row of a published set that lacks what its verifier needs, whose answer does not parse, or whose own solution its
    verifier rejects is set aside by line. In the user's own format the same is an error: somebody can mend it.

    Raises UserError, with file and line, and where nothing is left.
    """
    path = Path(path)
    if path.suffix == ".py":
        return Loaded([_environment(path, row) for row in environment.rows(path)], [])
    found: list[tuple[int, Problem, bool]] = []
    rejected: list[Rejected] = []
    for number, record in _rows(path):
        try:
            if isinstance(record, dict) and (read := recognise(record)) and not _is_ours(record):
                found.append((number, _published(read(record), record, _stem(path)), True))
                get_verifier(found[-1][1].verifier).check(found[-1][1].data)
            else:
                found.append((number, _problem(record, _stem(path)), False))
        except _Bad as bad:
            raise UserError(f"{path} line {number}: {bad}", hint=bad.hint) from bad
        except (Unusable, ValueError, TypeError, SyntaxError) as why:
            rejected.append(Rejected(number, str(why)))
            found = [row for row in found if row[0] != number]
    problems = [problem for _, problem, published in found if not published]
    good, bad = _judged([(number, problem) for number, problem, published in found if published])
    rejected = sorted([*rejected, *bad], key=lambda one: one.line)
    if not problems and not good:
        if rejected:
            raise UserError(f"{path} line {rejected[0].line}: {rejected[0].why}. No line can be used.", hint=_NEEDS)
        raise UserError(f"{path}: holds no problems.", hint=_NEEDS)
    return Loaded([*problems, *good], rejected)


def read_problems(path: str | Path) -> list[Problem]:
    """The problems that `write_problems` wrote; they were judged when they were loaded."""
    path = Path(path)
    return [_build(record, _prompt(record["prompt"]), path.stem) for _, record in _rows(path)]


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers and records."""
    if path.suffix == ".parquet":
        yield from enumerate(_parquet(path), start=1)
        return
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            try:
                yield number, _record_of(line)
            except _Bad as bad:
                raise UserError(f"{path} line {number}: {bad}", hint=bad.hint) from bad


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet: {error}.", hint="Check the file.") from error


def _lines(path: Path) -> list[str]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode("utf-8-sig").split("\n")  # not splitlines: JSON strings may hold U+2028
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 (byte {error.start}).", hint="Save it as UTF-8.") from error
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: {why}.", hint="Check the name of the file.") from error


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix == ".gz" else path.stem


def _is_ours(record: dict[str, Any]) -> bool:
    return "verifier" in record


def _published(parts: Any, record: dict[str, Any], stem: str) -> Problem:
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


def _environment(path: Path, row: dict[str, Any]) -> Problem:
    try:
        prompt = _prompt(row["prompt"])
    except _Bad as bad:
        raise UserError(f"{path}: a row's {bad}") from bad
    return Problem(
        id=problem_id("", prompt_key(prompt)),
        prompt=prompt,
        verifier="environment",
        data={"environment": str(path.absolute()), "row": row},
        domain="environment",
        task=path.stem,
    )


def _judged(rows: list[tuple[int, Problem]]) -> tuple[list[Problem], list[Rejected]]:
    """Those whose own answer passes, or that have none, and the others."""
    answered = [(number, problem) for number, problem in rows if reference_answer(problem) is not None]
    verdicts = verify_all((problem, reference_answer(problem)) for _, problem in answered)
    wrong = {
        number: f"its own answer is {verdict.outcome.value} to its verifier: {verdict.detail}"
        for (number, _), verdict in zip(answered, verdicts, strict=True)
        if verdict.outcome is not Outcome.RIGHT
    }
    return (
        [problem for number, problem in rows if number not in wrong],
        [Rejected(number, why) for number, why in wrong.items()],
    )


def write_problems(path: str | Path, problems: Iterable[Problem]) -> None:
    """Write problems one a line; `read_problems` gives back equal ones."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for problem in problems:
            file.write(json.dumps(_record(problem), ensure_ascii=False) + "\n")


def reference_answer(problem: Problem) -> str | None:
    """The right answer, where one is written down."""
    if problem.worked:
        return problem.worked.answer
    for place in (problem.data, problem.data.get("entry") or {}):
        for name in ("answer", "solution"):
            if isinstance(place.get(name), str):
                return place[name]
    return None


class _Bad(Exception):
    """What is wrong with a line; the caller adds where."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def _record_of(line: str) -> Any:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Bad(f"is not JSON: {error}.") from error
    if "\\ud" in line.lower():  # JSON can spell half a character, which no file can hold
        try:
            json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise _Bad("holds half of a surrogate pair (\\ud800 to \\udfff).") from error
    return record


def _problem(record: Any, stem: str) -> Problem:
    if not isinstance(record, dict):
        raise _Bad(f"is not a JSON object. {_NEEDS}")
    judged_by_data = record.get("verifier") and record.get("data")
    for name in ("prompt",) if judged_by_data else ("prompt", "answer"):
        if record.get(name) in (None, ""):
            near = nearest(name, [key for key in record if key not in _FIELDS])
            raise _Bad(f'"{name}" is missing. {_NEEDS}', f'Is "{near}" meant?' if near else None)
    for name in ("answer", "reasoning", "verifier", "domain", "task"):
        if not isinstance(record.get(name), str | None):
            raise _Bad(f'"{name}" must be a string. {_NEEDS}', f'Write "{name}": "{record[name]}".')
    prompt = _prompt(record["prompt"])
    problem = _build(record, prompt, stem)
    _check(problem, record.get("answer") or reference_answer(problem))
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
    answer, reasoning = record.get("answer"), record.get("reasoning")
    data = record.get("data") or {"answer": answer}
    if not isinstance(data, dict):
        raise _Bad('"data" must be an object: what the verifier needs (docs/problems.md).')
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
        raise _Bad(str(error), error.hint) from error
    except (VerifierFailed, ValueError, TypeError, SyntaxError) as error:
        cause = error.__cause__ if isinstance(error, VerifierFailed) else error
        why = f'"data" lacks {cause}' if isinstance(cause, KeyError) else str(cause)
        raise _Bad(f'verifier "{problem.verifier}" cannot judge this: {why} (docs/problems.md).') from error
    if verdict and verdict.outcome is not Outcome.RIGHT:
        raise _Bad(f'verifier "{problem.verifier}" rejects the file\'s own answer: {verdict.detail}.')


def _record(problem: Problem) -> dict[str, Any]:
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
