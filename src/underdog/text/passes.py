"""The two passes over a corpus: what a worker does with one unit of work, from file to file.

Each is a function of its arguments and the files they name, and its result is there whole or not at all. So units can
be worked on in any process on any machine, in any order and more than once, and what is finished is not done again.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

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
from underdog.text.duplicates import band_keys, exact_keys
from underdog.text.judge import Judge
from underdog.text.kernels.count import count
from underdog.text.kernels.tokens import Tokens, hash_tokens
from underdog.text.language import languages
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

WRITTEN: dict[str, Any] = {
    "compression": "lz4",
    "use_dictionary": ["source", "dropped", "rule", "language", "domain"],  # of texts it would cost more than it saves
    "write_statistics": False,
}
"""How shards are written: they are read once."""

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


def warm_up() -> None:
    """Loads what both passes need, machine code above all: a second that a new process is not asked to wait for."""
    texts = pa.array(["A text."], pa.large_string())
    band_keys(hash_tokens(texts), 0.5), count(texts), languages(texts)
    for kind in KINDS:
        part_hashes(texts, kind)


def read_unit(context: Context, unit: Unit) -> None:
    """First pass: reads and cleans; notes what is too short, and which lines and paragraphs there are."""
    rejects: list[Reject] = []
    parts: dict[str, list[np.ndarray]] = {kind: [] for kind in context.repeats}
    row = 0
    with commit_file(context.shard("read", unit.number)) as path:
        with pq.ParquetWriter(path, READ, **WRITTEN) as file:
            for documents in _batches(unit.spans, rejects):
                batch = _read_batch(documents, context.settings.minimum_characters)
                file.write_batch(batch)
                long = np.flatnonzero(batch["dropped"].is_null())
                texts = batch["text"].take(pa.array(long))
                for kind, found in parts.items():
                    found.append(_note(row + long, *part_hashes(texts, kind)))
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
            writer = writer or pq.ParquetWriter(path, measured.schema, **WRITTEN)
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
        np.savez(file, **repeats._asdict())


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
    tokens = hash_tokens(texts)
    columns = [
        [d.id for d in documents],
        [d.source for d in documents],
        [d.origin for d in documents],
        [len(d.text) for d in documents],
        tokens.counts,
        ["short" if len(d.text) < shortest else None for d in documents],
        exact_keys(tokens),
        texts,
    ]
    return pa.record_batch([pa.array(c, field.type) for c, field in zip(columns, READ, strict=True)], schema=READ)


def _measure_batch(context: Context, batch: pa.Table, first: int, again: NDArray[np.int64]) -> pa.Table:
    dropped = batch["dropped"].to_pylist()
    for row in again.tolist():
        dropped[row] = "duplicate"
    read = batch["text"].combine_chunks()
    left = np.flatnonzero([reason is None for reason in dropped])
    texts = _own_text(context, read.take(pa.array(left)), first + left)
    tokens, lengths = hash_tokens(texts), pc.utf8_length(texts).to_numpy()
    long = lengths >= context.settings.minimum_characters
    for row in left[~long].tolist():
        dropped[row] = "repeated"
    measured = np.full(len(batch), -1)
    measured[left[long]] = np.flatnonzero(long)
    places = pa.array(measured, mask=measured < 0)
    chosen = np.arange(len(batch))
    chosen[left] = len(batch) + np.arange(len(left))
    return pa.table(
        {
            **{name: batch[name] for name in ("id", "source", "origin")},
            "characters": _replaced(batch["characters"], left, lengths),
            "tokens": _replaced(batch["tokens"], left, tokens.counts),
            "dropped": pa.array(dropped, pa.string()),
            **{name: column.take(places) for name, column in _measures(context, texts, tokens).items()},
            "text": pa.concat_arrays([read, texts]).take(pa.array(chosen)),
        }
    )


def _own_text(context: Context, texts: pa.LargeStringArray, documents: NDArray[np.int64]) -> pa.LargeStringArray:
    """The texts without the lines and paragraphs that other documents keep."""
    for kind in context.repeats:
        changed = without_repeats(texts, documents, kind, _repeats(context.folder / f"{kind}.npz"))
        if changed:
            texts = pa.array([changed.get(row, text) for row, text in enumerate(texts.to_pylist())], texts.type)
    return texts


def _measures(context: Context, texts: pa.LargeStringArray, tokens: Tokens) -> dict[str, pa.Array]:
    """What the judge says, the keys for near-duplicates, and what is held of held-out items."""
    settings, columns = context.settings, dict[str, pa.Array]()
    if settings.near_duplicates:
        keys = band_keys(tokens, settings.near_duplicates)
        columns[BANDS] = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(keys.shape[1] * keys.itemsize), len(texts), [None, pa.py_buffer(keys.tobytes())]
        )
    if context.held_out:
        found = context.held_out.overlaps(tokens)
        columns["overlap_with"] = pa.array([overlap and overlap.item for overlap in found], pa.string())
        columns["overlap"] = pa.array([overlap and overlap.share for overlap in found], pa.float64())
    measured = context.judge.measure(texts)
    return columns | dict(zip(measured.schema.names, measured.columns, strict=True))


def _replaced(column: pa.ChunkedArray, rows: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    replaced = column.to_numpy().copy()
    replaced[rows] = values
    return replaced


def _note(rows: NDArray[np.int64], inside: NDArray[np.int64], hashes: NDArray[np.uint64]) -> np.ndarray:
    """Parts of texts, the numbers of which are `rows`."""
    found = np.empty(len(hashes), _PART)
    found["hash"], found["row"] = hashes, rows[inside]
    return found


@lru_cache
def _repeats(path: Path) -> Repeats:
    with np.load(path) as file:
        return Repeats(**file)
