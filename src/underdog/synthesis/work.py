"""Refining or reconstructing a whole file: rows for SFT, and a record of every step."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from underdog.artifacts.files import write_text
from underdog.errors import UserError
from underdog.generate.open import open_model
from underdog.synthesis.asking import Budget, Cache, Teacher, side_by_side
from underdog.synthesis.items import Item

RECORDS, ROWS, REPLIES = "records.jsonl", "rows.jsonl", "replies.sqlite"
Record = dict[str, Any]


def open_teachers(names: Iterable[str], out: Path, budget: Budget) -> list[Teacher]:
    """Models by what a person calls them (a run, a folder, a GGUF file, an address), over one cache and one budget."""
    cache = Cache(out / REPLIES)
    return [Teacher(open_model(name), cache, budget) for name in names]


def work_through(
    items: Sequence[Item],
    step: Callable[[Item], Record],
    row: Callable[[Item, Record], Record | None],
    out: Path,
    parallel: int,
    on_progress: Callable[[int, int, Record], None],
) -> Counter[str]:
    """Writes records.jsonl and rows.jsonl; returns how many items ended how.

    Replies are on the disk as they come: the same command after a stop, or with a larger budget, asks only what is
    missing.
    """
    records: list[Record] = []
    try:
        for record in side_by_side(step, items, parallel):
            records.append(record)
            on_progress(len(records), len(items), record)
    finally:
        done = items[: len(records)]
        made = [found for item, record in zip(done, records, strict=True) if (found := row(item, record))]
        _write(out / RECORDS, records)
        _write(out / ROWS, made)
    return Counter(record["ended"] for record in records)


def read_records(out: Path) -> list[Record]:
    path = out / RECORDS
    if not path.exists():
        raise UserError(f"{out} has no {RECORDS}.", hint="underdog data refine and reconstruct write such folders.")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _write(path: Path, rows: Sequence[Record]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
