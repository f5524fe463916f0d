"""Tables that a narrow job runs over: CSV, JSON lines or Parquet in, the same rows with results out."""

import csv
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
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
        except (pa.ArrowException, OSError) as problem:
            raise UserError(f"{path} is not a Parquet file: {problem}.") from None
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return list(_csv(path, lines) if path.suffix == ".csv" else _json_lines(path, lines))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8.") from None
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}.") from None


def _csv(path: Path, lines: Any) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # a field may be a book
    rows = csv.reader(lines, strict=True)
    try:
        names = next(rows, [])
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f'{path} names two columns "{twice[0]}".', hint="Give one of them another name.")
        for fields in rows:
            if not fields and len(names) > 1:
                continue
            fields = fields or [""]  # in a table of one column an empty line is an empty text
            if len(fields) != len(names):
                raise UserError(f"{path} line {rows.line_num}: it has not as many fields as the first line names.")
            yield dict(zip(names, fields, strict=True))
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
        yield whole(row) if "\\ud" in line.lower() else row


def whole(value: Any) -> Any:
    """JSON in which half a character, which no tokenizer and no file takes, has become "?"."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def texts_of(rows: Sequence[Row], column: str, path: Path, may_lack: bool = False) -> list[str]:
    """The texts of a column; "" for null, where a row may lack one."""
    texts = []
    for number, row in enumerate(rows, start=1):
        if column not in row:
            raise UserError(f'{path} row {number} has no column "{column}".', hint=did_you_mean(column, row))
        text = "" if may_lack and row[column] is None else row[column]
        if not isinstance(text, str):
            raise UserError(f'{path} row {number}: "{column}" is no text.')
        texts.append(text)
    return texts


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Written beside and moved: a table is there whole or not at all. In CSV, what is no text or number is JSON."""
    beside = path.with_name(path.name + ".writing")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: [row.get(name) for row in rows] for name in names}
        pq.write_table(pa.table({name: _column(values) for name, values in columns.items()}), beside)
    else:
        with beside.open("w", encoding="utf-8", newline="") as out:
            if path.suffix == ".csv":
                table = csv.DictWriter(out, names)
                table.writeheader()
                table.writerows(
                    {name: as_json(value, dict | list | bool) for name, value in row.items()} for row in rows
                )
            else:
                out.writelines(as_json(row) + "\n" for row in rows)
    beside.replace(path)


def _column(values: Sequence[Any]) -> Any:
    """As Arrow types it; values of several types, and those that Parquet has no type for, become JSON."""
    import pyarrow as pa

    try:
        column = pa.array(values)
        if not _hollow(column.type):
            return column
    except (pa.ArrowException, OverflowError):
        pass
    return pa.array([None if value is None else as_json(value, object) for value in values])


def _hollow(kind: Any) -> bool:
    """Whether a type has an object without fields in it, which Parquet cannot hold."""
    import pyarrow as pa

    inner = [kind.field(index).type for index in range(kind.num_fields)]
    return (pa.types.is_struct(kind) and not inner) or any(map(_hollow, inner))


def as_json(value: Any, kinds: Any = dict | list) -> Any:
    """Values of these kinds as JSON, others as they are."""
    return json.dumps(value, ensure_ascii=False, default=_plain) if isinstance(value, kinds) else value


def _plain(value: Any) -> str:
    """What Parquet holds and JSON does not: bytes in base 64, times in ISO 8601, decimals digit for digit."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
