"""A curated corpus on disk: one row a document, kept or dropped, with its scores."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from underdog.errors import UserError, did_you_mean
from underdog.text.document import Document
from underdog.text.tiers import TIERS

DOCUMENTS = "documents.parquet"
REJECTS = "rejects.jsonl"
CONTAMINATED = "contaminated.jsonl"

_ROWS = 4096  # a row group: what a reader holds in memory at once


def write_documents(folder: Path, tables: Iterable[pa.Table]) -> None:
    """Writes documents.parquet (zstd) from tables of one schema, in their order."""
    writer: pq.ParquetWriter | None = None
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(folder / DOCUMENTS, table.schema, compression="zstd")
            writer.write_table(table, _ROWS)
    finally:
        if writer:
            writer.close()


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Writes JSON, one record a line."""
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_tier(folder: Path, tier: str) -> Iterator[Document]:
    """The documents of one tier, in the order in which they were read; a few thousand are in memory at a
    time.

    Raises:
        UserError: the tier is unknown, or the folder holds no curated corpus.
    """
    if tier not in TIERS:
        raise UserError(f'Unknown tier "{tier}".', hint=did_you_mean(tier, TIERS))
    for row in _rows(folder, ["id", "text", "source", "origin", "tier"]):
        if row.pop("tier") == tier:
            yield Document(**row)


def read_scored(folder: Path) -> Iterator[tuple[str, str, float]]:
    """(source, text, score) of every document that was scored, whether it was kept or not."""
    for row in _rows(folder, ["source", "text", "score"]):
        if row["score"] is not None:
            yield row["source"], row["text"], row["score"]


def find_document(folder: Path, beginning: str) -> list[dict[str, Any]]:
    """All columns of the documents whose id begins so; several where equal texts were read at several places."""
    ids = pq.read_table(_checked(folder), columns=["id"])["id"].to_pylist()
    places = [place for place, name in enumerate(ids) if name.startswith(beginning)]
    return _rows_at(folder, places[:_ROWS])


def _rows_at(folder: Path, places: list[int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with pq.ParquetFile(_checked(folder)) as file:
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            inside = [place - first for place in places if first <= place < first + rows]
            if inside:
                found += file.read_row_group(group).take(inside).to_pylist()
            first += rows
    return found


def _rows(folder: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(_checked(folder)) as file:
        for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
            yield from batch.to_pylist()


def _checked(folder: Path) -> Path:
    path = folder / DOCUMENTS
    if not path.exists():
        raise UserError(f"{folder} holds no curated corpus: {DOCUMENTS} is missing.")
    return path
