"""Refining or reconstructing many conversations: rows for SFT, and a record of every step."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from underdog.artifacts.files import digest_json, write_text
from underdog.artifacts.runs import model_folder
from underdog.errors import UserError
from underdog.generate.open import open_model
from underdog.generate.remote import Remote
from underdog.generate.session import Model
from underdog.synthesis.asking import Teacher, side_by_side
from underdog.synthesis.items import Item
from underdog.synthesis.replies import Budget, Cache
from underdog.tokens.conversation_files import ROWS
from underdog.tokens.formats import as_row
from underdog.tokens.messages import Conversation

RECORDS, REPLIES = "records.jsonl", "replies.sqlite"
Record = dict[str, Any]
Teachers = dict[str, Teacher]


@contextmanager
def open_teachers(
    names: Iterable[str],
    replies: Path,
    budget: Budget,
    own: Mapping[str, Path] | None = None,
    timeout: float | None = None,
) -> Iterator[Teachers]:
    """Models by what a person calls them (a run, a folder, a GGUF file, an address), each opened once, over one cache
    and one budget.

    Args:
        own: names that stand for folders.
        timeout: seconds that a server may be silent; None: as long as `Remote` allows.
    """
    with ExitStack() as opened:
        cache = opened.enter_context(closing(Cache(replies)))
        found: Teachers = {}
        for name in dict.fromkeys(names):
            place = str((own or {}).get(name, name))
            model = opened.enter_context(closing(open_model(place)))
            if timeout is not None and isinstance(model, Remote):
                model.wait(timeout)
            found[name] = Teacher(model, cache, budget, identity(place, model))
        yield found


def identity(place: str, model: Model) -> str:
    """What the replies of a model are known by: its address and name, or its files as they are now."""
    if urlsplit(place).scheme in ("http", "https"):
        return f"{place.partition('#')[0].rstrip('/')}#{model.name}"
    path = model_folder(Path(place)).resolve()
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file())
    return digest_json([[str(one), one.stat().st_size, one.stat().st_mtime_ns] for one in files])


def work_through(
    items: Sequence[Item],
    step: Callable[[Item], Record],
    answered: Callable[[Item, Record], Conversation | None],
    out: Path,
    models: Teachers,
    on_progress: Callable[[int, int, Record], None],
    failures: float = 1.0,
) -> list[Record]:
    """Writes records.jsonl and rows.jsonl; returns the records of the items that were worked on.

    Rows stand in the items' order; those that nobody worked on are among them. Replies are on the disk as they come:
    the same command after a stop, or with a larger budget, asks only what is missing.

    Args:
        failures: share of the items on which teachers may fail.

    Raises:
        UserError: they failed on more; the budget is used up.
    """
    todo = [item for item in items if not item.passed]
    records: list[Record] = []
    try:
        parallel = min(one.model.capabilities.parallel for one in models.values())
        for record in side_by_side(step, todo, parallel):
            records.append(record)
            on_progress(len(records), len(todo), record)
            _check_failures(records, failures * len(todo))
    finally:
        write_rows(out / RECORDS, records)
        write_rows(out / ROWS, map(as_row, _answered(items, records, answered)))
    return records


def counts(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """How many items ended how, and why teachers failed on those on which they did."""
    failed = Counter(record["why"] for record in records if record["ended"] == "failed")
    return {"ended": dict(Counter(record["ended"] for record in records)), "failed": dict(failed)}


def read_records(out: Path) -> list[Record]:
    path = out / RECORDS
    if not path.exists():
        raise UserError(f"{out} has no {RECORDS}.", hint="underdog data refine and reconstruct write such folders.")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def write_rows(path: Path, rows: Iterable[Record]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _answered(
    items: Sequence[Item], records: Sequence[Record], answered: Callable[[Item, Record], Conversation | None]
) -> Iterator[Conversation]:
    """What is taught of the items, up to the first that has no record yet."""
    recorded = iter(records)
    for item in items:
        if item.passed:
            yield item.conversation
            continue
        if (record := next(recorded, None)) is None:
            return
        if (found := answered(item, record)) is not None:
            yield found


def _check_failures(records: Sequence[Record], most: float) -> None:
    failed = [record for record in records if record["ended"] == "failed"]
    if len(failed) > most:
        why = ", ".join(f"{count:,} {why}" for why, count in counts(records)["failed"].items())
        raise UserError(
            f"Teachers failed on {len(failed):,} of {len(records):,} rows ({why}). The last: {failed[-1]['reason']}",
            hint="The same command goes on: what was answered is not asked again. `failures` says how many may fail.",
        )
