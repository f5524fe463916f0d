"""A job over a table, that can be stopped at any time.

What is finished stands in `OUT.part`, a line a row: a job that was stopped, or killed, goes on with the rows that are
not there, and writes the table once all are.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from underdog.errors import UserError
from underdog.tasks.crew import FAILED, Job, Ready, work_through
from underdog.tasks.files import KINDS, Row, as_json, write_table


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

    A result whose name is a column's already gets the job's name before it.

    Args:
        settings: what the results depend on beside the rows; other settings, or other rows, begin anew.
        ready: the job with its model, where that is open already.
    """
    if out.suffix not in KINDS:
        raise UserError(f"{out} is none of {', '.join(KINDS)}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    key = sha256(json.dumps([settings, list(rows)], sort_keys=True, default=str).encode()).hexdigest()
    finished = _finished(part, key)
    with part.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps({"job": key}) + "\n")
        lines.writelines(json.dumps([index, result]) + "\n" for index, result in finished.items())
        progress(len(finished))
        todo = [index for index in range(len(rows)) if index not in finished]
        for index, result in work_through(job, rows, todo, workers, ready):
            finished[index] = result
            lines.write(json.dumps([index, result]) + "\n")
            lines.flush()
            progress(len(finished))
    results = [finished[index] for index in range(len(rows))]
    write_table(_joined(rows, results, job.name, nested=out.suffix != ".parquet"), out)
    part.unlink()
    return results


def failures(results: Sequence[Row]) -> int:
    """Rows that were refused."""
    return sum(FAILED in result for result in results)


def _joined(rows: Sequence[Row], results: Sequence[Row], job: str, nested: bool) -> list[Row]:
    """`nested`: whether objects stay what they are; in columns of one type they would lose their shape, so they become
    JSON."""
    taken = {name for row in rows for name in row}
    names = {name: f"{job}_{name}" if name in taken else name for result in results for name in result}
    return [
        {**row, **{names[name]: value if nested else as_json(value) for name, value in result.items()}}
        for row, result in zip(rows, results, strict=True)
    ]


def _finished(part: Path, key: str) -> dict[int, Row]:
    """Results of an earlier run of the same job, by row; a line that was cut off does not count."""
    if not part.exists():
        return {}
    lines = part.read_text(encoding="utf-8").split("\n")[:-1]
    try:
        first, *results = [json.loads(line) for line in lines]
    except ValueError:
        return {}
    return dict(results) if first.get("job") == key else {}
