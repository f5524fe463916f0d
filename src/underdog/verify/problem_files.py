"""Problems on disk: one JSON object per line, one format for users' files and ours (docs/problems.md).

`load_problems` also reads the published sets' own formats (formats.py), from JSON Lines, gzipped or not, and Parquet.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from underdog.errors import UserError
from underdog.verify import environment
from underdog.verify.formats import Unusable, recognise
from underdog.verify.problem import Outcome, Problem, reference_answer
from underdog.verify.records import (
    MALFORMED,
    NEEDS,
    Bad,
    parsed,
    read_environment,
    read_ours,
    read_own,
    read_published,
    write_record,
)
from underdog.verify.registry import get_verifier, verify_all


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
        return Loaded([read_environment(path, row) for row in environment.rows(path)], [])
    found: list[tuple[int, Problem, bool]] = []
    rejected: list[Rejected] = []
    for number, record in _rows(path):
        try:
            read = recognise(record) if isinstance(record, dict) and "verifier" not in record else None
            if read:
                problem = read_published(read(record), record, _stem(path))
                get_verifier(problem.verifier).check(problem.data)
            else:
                problem = read_own(record, _stem(path))
            found.append((number, problem, read is not None))
        except Bad as bad:
            raise UserError(f"{path} line {number}: {bad}", hint=bad.hint) from bad
        except (Unusable, *MALFORMED) as why:
            rejected.append(Rejected(number, str(why)))
    problems = [problem for _, problem, published in found if not published]
    good, bad = _judged([(number, problem) for number, problem, published in found if published])
    rejected = sorted([*rejected, *bad], key=lambda one: one.line)
    if not problems and not good:
        if rejected:
            raise UserError(f"{path} line {rejected[0].line}: {rejected[0].why}. No line can be used.", hint=NEEDS)
        raise UserError(f"{path}: holds no problems.", hint=NEEDS)
    return Loaded([*problems, *good], rejected)


def read_problems(path: str | Path) -> list[Problem]:
    """The problems that `write_problems` wrote; they were judged when they were loaded."""
    path = Path(path)
    return [read_ours(record, path.stem) for _, record in _rows(path)]


def write_problems(path: str | Path, problems: Iterable[Problem]) -> None:
    """Write problems one a line; `read_problems` gives back equal ones."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for problem in problems:
            file.write(json.dumps(write_record(problem), ensure_ascii=False) + "\n")


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers and records."""
    if path.suffix == ".parquet":
        yield from enumerate(_parquet(path), start=1)
        return
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            try:
                yield number, parsed(line)
            except Bad as bad:
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
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: {why}.", hint="Check the name of the file.") from error


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix == ".gz" else path.stem


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
