"""Files of conversations: JSON lines, a JSON list, Parquet. A bad row is named and set aside, and the rest goes on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from underdog.errors import UserError
from underdog.tokens.formats import conversation
from underdog.tokens.messages import Conversation

ROWS, ASIDE = "rows.jsonl", "set-aside.jsonl"
"""What stages write: conversations, and rows that could not be used."""


@dataclass(frozen=True)
class Aside:
    """A row that was not read, or not used."""

    where: str  # file and line, or file and row
    reason: str


def read_conversations(path: str | Path) -> tuple[list[Conversation], list[Aside]]:
    """All conversations of a file, and the rows that are none. A row without a "domain" gets the file's name as its.

    Raises:
        UserError: the file cannot be read at all, or holds no conversation.
    """
    path = Path(path).expanduser()
    good: list[Conversation] = []
    aside: list[Aside] = []
    for where, row in _rows(path):
        try:
            good.append(conversation(json.loads(row) if isinstance(row, str) else row, path.stem, where))
        except (ValueError, TypeError, KeyError, RecursionError) as problem:
            aside.append(Aside(where, str(problem)))
    if not good:
        first = f" The first of {len(aside)} bad rows: {aside[0].where}: {aside[0].reason}." if aside else ""
        raise UserError(f"{path} holds no conversations.{first}", hint="docs/teaching.md shows the formats.")
    return good, aside


def write_aside(path: Path, aside: Sequence[Aside]) -> None:
    """One JSON object a row: where, reason."""
    with path.open("w", encoding="utf-8") as file:
        for one in aside:
            file.write(json.dumps(vars(one), ensure_ascii=False) + "\n")


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """(where, row): JSON text, or the value itself."""
    try:
        if path.suffix == ".parquet":
            yield from _parquet(path)
            return
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise UserError(f"{path}: {problem.strerror or problem}.", hint="Check the name of the file.") from None
    except UnicodeDecodeError as problem:
        raise UserError(f"{path} is not UTF-8 (byte {problem.start}).", hint="Save it as UTF-8.") from None
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError as problem:
            raise UserError(f"{path} is not valid JSON: {problem}.") from None
        yield from ((f"{path} row {number}", row) for number, row in enumerate(found, start=1))
        return
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: JSON strings may hold U+2028
        if line.strip():
            yield f"{path} line {number}", line


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    if not path.exists():
        raise UserError(f"{path}: no such file.", hint="Check the name of the file.")
    try:
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield f"{path} row {number}", _without_padding(row)
    except pyarrow.ArrowException as problem:
        raise UserError(f"{path} is not a Parquet file: {problem}.") from None


def _without_padding(value: Any) -> Any:
    """Without what is None in objects: Parquet gives each object of a column the keys of all others."""
    if isinstance(value, dict):
        return {key: _without_padding(one) for key, one in value.items() if one is not None}
    return [_without_padding(one) for one in value] if isinstance(value, list) else value
