"""A curated corpus on disk: one row a document, kept or dropped, with its scores."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.text.document import Document, Reject
from underdog.text.tiers import TIERS

DOCUMENTS = "documents.parquet"
REJECTS = "rejects.jsonl"

_ROWS = 4096  # a row group: what a reader holds in memory at once


def write_documents(
    folder: Path,
    documents: Sequence[Document],
    *,
    scores: Mapping[str, Sequence[int | None]],
    score: Sequence[float | None],
    tier: Sequence[str | None],
    dropped: Sequence[str | None],
    cluster: Sequence[str | None],
) -> None:
    """Writes documents.parquet (zstd), in the order of `documents`; all columns have its length.

    `scores` holds 0–9 by signal; None for documents that were dropped before scoring. Exactly one of
    `tier` and `dropped` is None. `cluster` is the id of the document that stands for all its duplicates.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array([d.id for d in documents], pa.string()),
        "source": pa.array([d.source for d in documents], pa.string()),
        "origin": pa.array([d.origin for d in documents], pa.string()),
        "tier": pa.array(tier, pa.string()),
        "dropped": pa.array(dropped, pa.string()),
        "cluster": pa.array(cluster, pa.string()),
        "score": pa.array(score, pa.float64()),
        **{name: pa.array(values, pa.int8()) for name, values in scores.items()},
        "text": pa.array([d.text for d in documents], pa.large_string()),
    }
    pq.write_table(pa.table(columns), folder / DOCUMENTS, compression="zstd", row_group_size=_ROWS)


def write_rejects(folder: Path, rejects: Iterable[Reject]) -> None:
    """Writes rejects.jsonl: file, line and reason of every record that was set aside."""
    with (folder / REJECTS).open("w", encoding="utf-8") as file:
        for reject in rejects:
            file.write(json.dumps(vars(reject), ensure_ascii=False) + "\n")


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


def _rows(folder: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    path = folder / DOCUMENTS
    if not path.exists():
        raise UserError(f"{folder} holds no curated corpus: {DOCUMENTS} is missing.")
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
            yield from batch.to_pylist()
