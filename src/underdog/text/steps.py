"""The steps between and after the passes: which documents go, decided over columns without their texts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from underdog.recipe.schema import Curate
from underdog.text.corpus import write_records
from underdog.text.duplicates import alike, exact_duplicates, near_duplicates
from underdog.text.funnel import Funnel
from underdog.text.passes import BANDS, Context, parts_of, write_repeats
from underdog.text.readers.span import Unit
from underdog.text.repeats import find_repeats
from underdog.text.shards import Shards


def read_funnel(read: Shards) -> Funnel:
    """All documents of the first pass, without those that are too short."""
    columns = read.columns(["id", "characters", "tokens", "dropped"])
    funnel = Funnel(columns["id"], columns["characters"].to_numpy(), columns["tokens"].to_numpy())
    funnel.drop("long enough", columns["dropped"].to_pylist())
    return funnel


def drop_exact(funnel: Funnel, read: Shards) -> np.ndarray:
    """Returns the numbers of the duplicates, ascending."""
    left = funnel.left
    keys = read.columns(["key"])["key"].take(pa.array(left))
    kept = exact_duplicates(keys)
    funnel.drop_duplicates("no duplicates", kept, lambda kept: "duplicate")
    return left[[position is not None for position in kept]]


def note_repeats(context: Context, funnel: Funnel, read: Shards, work: Sequence[Unit]) -> None:
    """Leaves for the second pass which lines and paragraphs too many of the documents left have."""
    dropped = np.array([reason is not None for reason in funnel.dropped])
    gone = np.split(dropped, np.cumsum(read.rows)[:-1])
    for kind, most in context.repeats.items():
        found = [parts_of(context, kind, unit.number, rows) for unit, rows in zip(work, gone, strict=True)]
        hashes, documents = (np.concatenate(column) for column in zip(*found, strict=True))
        write_repeats(context, kind, find_repeats(hashes, documents, most))


def by_unit(numbers: np.ndarray, read: Shards) -> Iterator[np.ndarray]:
    """For each unit those of the numbers that are its rows, counted from its first."""
    ends = np.cumsum(read.rows)
    for end, rows in zip(ends, read.rows, strict=True):
        inside = numbers[np.searchsorted(numbers, end - rows) : np.searchsorted(numbers, end)]
        yield inside - (end - rows)


def drop_measured(funnel: Funnel, columns: pa.Table, settings: Curate) -> None:
    """Drops what the second pass found too short without repeats, and what breaks a rule."""
    funnel.characters, funnel.tokens = columns["characters"].to_numpy(), columns["tokens"].to_numpy()
    left = pa.array(funnel.left)
    if settings.repeated_paragraphs or settings.repeated_lines:
        funnel.drop("not repeated", columns["dropped"].take(left).to_pylist())
    funnel.drop("within the rules", columns["rule"].take(pa.array(funnel.left)).to_pylist())


def drop_near_duplicates(funnel: Funnel, columns: pa.Table, measured: Shards, threshold: float) -> None:
    """Drops what resembles an earlier document; only texts that share a band with another are read again."""
    if not threshold or not len(funnel.left):
        return
    left = funnel.left
    bands = columns[BANDS].take(pa.array(left)).combine_chunks()
    keys = np.frombuffer(bands.buffers()[1], np.uint32).reshape(len(left), -1)
    near = alike(keys)
    found = near_duplicates(keys[near], measured.take(left[near], "text"), threshold)
    kept: list[int | None] = [None] * len(left)
    for place, like in zip(near.tolist(), found, strict=True):
        kept[place] = None if like is None else int(near[like])
    funnel.drop_duplicates("no near-duplicates", kept, lambda kept: f"near-duplicate of {kept}")


def drop_contaminated(funnel: Funnel, columns: pa.Table, share: float, path: Path) -> None:
    """Drops what holds more than `share` of a held-out item, and writes the list of it."""
    if "overlap" not in columns.column_names:
        return
    left = pa.array(funnel.left)
    rows = columns.select(["id", "source", "overlap_with", "overlap"]).take(left).to_pylist()
    bad = [(row["overlap"] or 0.0) > share for row in rows]
    write_records(path, (row for row, is_bad in zip(rows, bad, strict=True) if is_bad))
    reasons = [
        f"contaminated by {row['overlap_with']}" if is_bad else None for row, is_bad in zip(rows, bad, strict=True)
    ]
    funnel.drop("not contaminated", reasons)
