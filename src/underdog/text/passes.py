"""The two passes over a corpus: what a worker does with one unit of work, from file to file.

Each is a function of its arguments and the files they name, and its result is there whole or not at all. So units can
be worked on in any process on any machine, in any order and more than once, and what is finished is not done again.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from underdog.artifacts.files import commit_file
from underdog.recipe.schema import Curate
from underdog.text.clean import clean
from underdog.text.decontaminate import HeldOut
from underdog.text.document import Document, Reject, make_document
from underdog.text.duplicates import band_keys, exact_key
from underdog.text.judge import Judge
from underdog.text.kernels.tokens import hash_tokens
from underdog.text.readers.formats import read_span
from underdog.text.readers.span import Span, Unit
from underdog.text.repeats import KINDS, Repeats, part_hashes, without_repeats

BATCH = 1 << 20
"""Characters of text that are worked on at once, about."""

_PART = np.dtype([("hash", np.uint64), ("row", np.uint32)])

READ = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "source", "origin")),
        ("characters", pa.int64()),
        ("tokens", pa.int64()),
        ("dropped", pa.string()),
        ("key", pa.binary(16)),
        ("text", pa.large_string()),
    ]
)
"""A shard of the first pass. `key` is for exact duplicates."""


BANDS = "bands"
"""The column of a measured shard with the keys for near-duplicates."""


@dataclass(frozen=True)
class Context:
    """What every worker knows. Made once, small, can be pickled."""

    settings: Curate
    judge: Judge
    held_out: HeldOut | None
    folder: Path  # of the shards: one that every worker sees

    def shard(self, step: str, unit: int) -> Path:
        """Where the result of a unit is: "read", "rejects", "paragraph", "line" or "measured"."""
        suffix = {"read": "parquet", "measured": "parquet", "rejects": "jsonl"}.get(step, "npy")
        return self.folder / step / f"{unit:06}.{suffix}"

    @property
    def repeats(self) -> dict[str, int]:
        """Kinds of parts, and in how many documents one may be; those that are looked for."""
        most = {"paragraph": self.settings.repeated_paragraphs, "line": self.settings.repeated_lines}
        return {kind: most[kind] for kind in KINDS if most[kind]}


def read_unit(context: Context, unit: Unit) -> None:
    """First pass: reads and cleans; notes what is too short, and which lines and paragraphs there are."""
    rejects: list[Reject] = []
    parts: dict[str, list[np.ndarray]] = {kind: [] for kind in context.repeats}
    shortest, row = context.settings.minimum_characters, 0
    with commit_file(context.shard("read", unit.number)) as path:
        with pq.ParquetWriter(path, READ, compression="lz4") as file:
            for documents in _batches(unit.spans, rejects):
                file.write_batch(_read_batch(documents, shortest))
                for number, document in enumerate(documents, row):
                    if len(document.text) >= shortest:
                        for kind, found in parts.items():
                            found.append(_with_row(part_hashes(document.text, kind), number))
                row += len(documents)
        for kind, found in parts.items():
            with commit_file(context.shard(kind, unit.number)) as beside, beside.open("wb") as file:
                np.save(file, np.concatenate([np.zeros(0, _PART), *found]))
        with commit_file(context.shard("rejects", unit.number)) as beside:
            beside.write_text("".join(json.dumps(vars(reject)) + "\n" for reject in rejects))


def measure_unit(context: Context, unit: int, duplicates: NDArray[np.int64]) -> None:
    """Second pass: drops exact duplicates (the rows so numbered) and repeated parts, and measures what is left.

    The shard has all rows of the one that was read; columns of measures are null for those that are dropped.
    """
    writer: pq.ParquetWriter | None = None
    row = 0
    with commit_file(context.shard("measured", unit)) as path, pq.ParquetFile(context.shard("read", unit)) as read:
        for group in range(read.num_row_groups):
            batch = read.read_row_group(group)
            again = duplicates[(duplicates >= row) & (duplicates < row + len(batch))] - row
            measured = _measure_batch(context, batch, document_number(unit, row), again)
            writer = writer or pq.ParquetWriter(path, measured.schema, compression="lz4")
            writer.write_table(measured)
            row += len(batch)
        if writer:
            writer.close()
        else:
            path.touch()  # a unit without documents


def document_number(unit: int, row: int) -> int:
    """Ascends in the order of the sources."""
    return unit << 32 | row


def parts_of(context: Context, kind: str, unit: int, dropped: NDArray[np.bool_]) -> tuple[np.ndarray, np.ndarray]:
    """(hashes, numbers of the documents that have them) of a unit's lines or paragraphs, without dropped documents."""
    found = np.load(context.shard(kind, unit))
    found = found[~dropped[found["row"]]]
    return found["hash"], found["row"].astype(np.int64) + document_number(unit, 0)


def write_repeats(context: Context, kind: str, repeats: Repeats) -> None:
    """Leaves what `find_repeats` found where `measure_unit` looks for it."""
    with commit_file(context.folder / f"{kind}.npz") as path, path.open("wb") as file:
        hashes, documents = np.array(list(repeats), np.uint64), np.array(list(repeats.values()), np.int64)
        np.savez(file, hashes=hashes, documents=documents)


def _batches(spans: Iterable[Span], rejects: list[Reject]) -> Iterator[list[Document]]:
    """Cleaned documents, about a megabyte of them at a time; what is no document goes to `rejects`."""
    gathered: list[Document] = []
    size = 0
    for found in (found for span in spans for found in read_span(span)):
        if isinstance(found, Reject):
            rejects.append(found)
            continue
        gathered.append(make_document(clean(found.text), found.source, found.origin))
        size += len(found.text)
        if size > BATCH:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered


def _read_batch(documents: list[Document], shortest: int) -> pa.RecordBatch:
    texts = pa.array([d.text for d in documents], pa.large_string())
    columns = [
        [d.id for d in documents],
        [d.source for d in documents],
        [d.origin for d in documents],
        [len(d.text) for d in documents],
        np.diff(hash_tokens(texts).offsets),
        ["short" if len(d.text) < shortest else None for d in documents],
        [exact_key(d.text) for d in documents],
        texts,
    ]
    return pa.record_batch([pa.array(c, field.type) for c, field in zip(columns, READ, strict=True)], schema=READ)


def _measure_batch(context: Context, batch: pa.Table, first: int, again: NDArray[np.int64]) -> pa.Table:
    texts = batch["text"].to_pylist()
    dropped = batch["dropped"].to_pylist()
    for row in again.tolist():
        dropped[row] = "duplicate"
    repeats = [(kind, _repeats(context.folder / f"{kind}.npz")) for kind in context.repeats]
    for row, reason in enumerate(dropped):
        if reason is None and any(known for _, known in repeats):
            texts[row] = without_repeats(texts[row], first + row, repeats)
            if len(texts[row]) < context.settings.minimum_characters:
                dropped[row] = "repeated"
    left = [row for row, reason in enumerate(dropped) if reason is None]
    measures = _measures(context, pa.array([texts[row] for row in left], pa.large_string()))
    place = np.full(len(texts), -1)
    place[left] = np.arange(len(left))
    places = pa.array(place, pa.int64(), mask=place < 0)
    final = pa.array(texts, pa.large_string())
    return pa.table(
        {
            **{name: batch[name] for name in ("id", "source", "origin")},
            "characters": pc.utf8_length(final),
            "tokens": np.diff(hash_tokens(final).offsets),
            "dropped": pa.array(dropped, pa.string()),
            **{name: column.take(places) for name, column in measures.items()},
            "text": final,
        }
    )


def _measures(context: Context, texts: pa.LargeStringArray) -> dict[str, pa.Array]:
    """What the judge says, the keys for near-duplicates, and what is held of held-out items."""
    settings, columns = context.settings, dict[str, pa.Array]()
    if settings.near_duplicates:
        keys = band_keys(texts, settings.near_duplicates)
        columns[BANDS] = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(keys.shape[1] * keys.itemsize), len(texts), [None, pa.py_buffer(keys.tobytes())]
        )
    if context.held_out:
        found = context.held_out.overlaps(texts)
        columns["overlap_with"] = pa.array([overlap and overlap.item for overlap in found], pa.string())
        columns["overlap"] = pa.array([overlap and overlap.share for overlap in found], pa.float64())
    measured = context.judge.measure(texts)
    return columns | dict(zip(measured.schema.names, measured.columns, strict=True))


def _with_row(hashes: list[int], row: int) -> np.ndarray:
    found = np.empty(len(hashes), _PART)
    found["hash"], found["row"] = np.array(hashes, np.uint64), row
    return found


@lru_cache
def _repeats(path: Path) -> Repeats:
    with np.load(path) as file:
        return dict(zip(file["hashes"].tolist(), file["documents"].tolist(), strict=True))
