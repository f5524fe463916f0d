"""Tables that a narrow job runs over: CSV, JSON lines or Parquet in, the same rows with results out.

What is finished is in the output file as JSON lines beside it (`OUT.part`), a line an item: a job that was stopped goes
on behind the last whole line, and writes the table once all rows are there.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from underdog.errors import UserError, did_you_mean

KINDS = (".csv", ".jsonl", ".parquet")
Row = dict[str, Any]


def read_table(path: Path) -> list[Row]:
    """The rows; UserError names what is wrong, with the line."""
    if path.suffix not in KINDS:
        raise UserError(f"{path} is none of {', '.join(KINDS)}.")
    if not path.exists():
        raise UserError(f"There is no file {path}.")
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_table(path).to_pylist()
        except pa.ArrowException as problem:
            raise UserError(f"{path} is not a Parquet file: {problem}.") from None
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return list(_csv(path, lines) if path.suffix == ".csv" else _json_lines(path, lines))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8.") from None


def _csv(path: Path, lines: Any) -> Iterator[Row]:
    rows = csv.DictReader(lines, strict=True)
    try:
        for row in rows:
            if None in row or None in row.values():
                raise UserError(f"{path} line {rows.line_num}: it has not as many fields as the first line names.")
            yield row
    except csv.Error as problem:
        raise UserError(f"{path} line {rows.line_num}: {problem}.") from None


def _json_lines(path: Path, lines: Any) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise UserError(f"{path} line {number}: {problem}.") from None
        if not isinstance(row, dict):
            raise UserError(f"{path} line {number} is no JSON object.")
        yield row


def texts_of(rows: Sequence[Row], column: str, path: Path) -> list[str]:
    """The texts of a column."""
    texts = []
    for number, row in enumerate(rows, start=1):
        if column not in row:
            raise UserError(f'{path} row {number} has no column "{column}".', hint=did_you_mean(column, row))
        if not isinstance(row[column], str):
            raise UserError(f'{path} row {number}: "{column}" is no text.')
        texts.append(row[column])
    return texts


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Written beside and moved: a table is there whole or not at all. In CSV, what is no text or number is JSON."""
    beside = path.with_name(path.name + ".writing")
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows)), beside)
    else:
        with beside.open("w", encoding="utf-8", newline="") as out:
            if path.suffix == ".csv":
                names = list(dict.fromkeys(name for row in rows for name in row))
                table = csv.DictWriter(out, names)
                table.writeheader()
                table.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
            else:
                out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    beside.replace(path)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else value


def run_over(
    rows: Sequence[Row],
    work: Callable[[int], Mapping[str, Any]],
    out: Path,
    settings: Mapping[str, Any],
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Writes every row with its results to `out`.

    Args:
        work: index of a row -> its results.
        settings: what the results depend on beside the rows; other settings, or other rows, begin anew.
    """
    if out.suffix not in KINDS:
        raise UserError(f"{out} is none of {', '.join(KINDS)}.")
    part = out.with_name(out.name + ".part")
    key = sha256(json.dumps([settings, list(rows)], sort_keys=True, default=str).encode()).hexdigest()
    results = _finished(part, key)
    with part.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps({"job": key}) + "\n")
        lines.writelines(json.dumps(result) + "\n" for result in results)
        progress(len(results))
        for index in range(len(results), len(rows)):
            results.append(dict(work(index)))
            lines.write(json.dumps(results[-1]) + "\n")
            lines.flush()
            progress(len(results))
    write_table([{**row, **result} for row, result in zip(rows, results, strict=True)], out)
    part.unlink()


def _finished(part: Path, key: str) -> list[Row]:
    """Results of an earlier run of the same job; a line that was cut off does not count."""
    if not part.exists():
        return []
    lines = part.read_text(encoding="utf-8").split("\n")[:-1]
    try:
        first, *results = [json.loads(line) for line in lines]
    except ValueError:
        return []
    return results if first.get("job") == key else []
