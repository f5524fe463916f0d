"""A job over a table, that can be stopped at any time.

What is finished stands in `OUT.part`, a line a row: a job that was stopped, or killed, goes on with the rows that are
not there, and writes the table once all are.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import chain, count
from pathlib import Path
from typing import Any

from underdog.errors import UserError
from underdog.tasks.crew import FAILED, Job, Ready, work_through
from underdog.tasks.files import KINDS, Row, as_json, whole, write_table


def run_over(
    rows: Sequence[Row],
    job: Job,
    out: Path,
    settings: Mapping[str, Any],
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
    ready: Ready | None = None,
) -> list[Row]:
    """Writes every row with its results to `out`, in the order of the rows; returns the results.

    A result whose name is a column's already gets the job's name before it, and a number where that is taken too.

    Args:
        settings: what the results depend on beside the rows; other settings, or other rows, begin anew. `now` among
            them is what `begun` gives back.
        ready: the job with its model, where that is open already.
    """
    if out.suffix not in KINDS:
        raise UserError(f"{out} is none of {', '.join(KINDS)}.")
    if out.is_dir():
        raise UserError(f"{out} is a folder.", hint="Give the results another name.")
    out.parent.mkdir(parents=True, exist_ok=True)
    part, head = _part(out), {"job": _key(rows, settings), "now": settings.get("now")}
    finished = _finished(part, head["job"])
    with part.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps(head, default=str) + "\n")
        lines.writelines(json.dumps([index, result]) + "\n" for index, result in finished.items())
        progress(len(finished))
        todo = [index for index in range(len(rows)) if index not in finished]
        for index, result in work_through(job, rows, todo, workers, ready):
            finished[index] = result = whole(result)
            lines.write(json.dumps([index, result]) + "\n")
            lines.flush()
            progress(len(finished))
    results = [finished[index] for index in range(len(rows))]
    write_table(_joined(rows, results, job.name, nested=out.suffix != ".parquet"), out)
    part.unlink()
    return results


def begun(out: Path, rows: Sequence[Row], settings: Callable[[datetime], Mapping[str, Any]]) -> datetime | None:
    """The `now` of the same job, where it was stopped: what goes on after midnight still counts from the day before.

    Args:
        settings: those of the job as of a `now`.
    """
    head = next(iter(_read(_part(out))), {})
    then = head.get("now") and datetime.fromisoformat(head["now"])
    return then if then and head["job"] == _key(rows, settings(then)) else None


def failures(results: Sequence[Row]) -> int:
    """Rows that were refused."""
    return sum(FAILED in result for result in results)


def _joined(rows: Sequence[Row], results: Sequence[Row], job: str, nested: bool) -> list[Row]:
    """`nested`: whether objects stay what they are; in columns of one type they would lose their shape, so they become
    JSON."""
    taken = {name for row in rows for name in row}
    names = _free(dict.fromkeys(name for result in results for name in result), taken, job)
    return [
        {**row, **{names[name]: value if nested else as_json(value) for name, value in result.items()}}
        for row, result in zip(rows, results, strict=True)
    ]


def _free(wanted: Iterable[str], taken: set[str], job: str) -> dict[str, str]:
    """For each name one that no column has."""
    names = {}
    for name in wanted:
        tried = chain([name, f"{job}_{name}"], (f"{job}_{name}_{number}" for number in count(2)))
        names[name] = next(one for one in tried if one not in taken)
        taken = taken | {names[name]}
    return names


def _part(out: Path) -> Path:
    return out.with_name(out.name + ".part")


def _key(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    return sha256(json.dumps([settings, list(rows)], sort_keys=True, default=str).encode()).hexdigest()


def _finished(part: Path, key: str) -> dict[int, Row]:
    """Results of an earlier run of the same job, by row."""
    head, *results = _read(part) or [{}]
    return dict(results) if head.get("job") == key else {}


def _read(part: Path) -> list[Any]:
    """Its lines: the job, then row and result each; a line that was cut off does not count."""
    if not part.exists():
        return []
    try:
        return [json.loads(line) for line in part.read_text(encoding="utf-8").split("\n")[:-1]]
    except ValueError:
        return []
