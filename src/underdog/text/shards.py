"""Many Parquet files read as one long table, a row group at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray


class Shards:
    """The rows of all files, in the files' order, numbered from 0. Empty files have no rows."""

    def __init__(self, paths: Sequence[Path]):
        self._paths = [path for path in paths if path.stat().st_size]
        self.rows = [pq.read_metadata(path).num_rows for path in self._paths]

    @property
    def names(self) -> list[str]:
        return pq.read_schema(self._paths[0]).names if self._paths else []

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all rows, in memory."""
        return pa.concat_tables(_read(path, names) for path in self._paths).combine_chunks()

    def groups(self, names: Sequence[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
        """(number of the first row, some or all columns) of each row group."""
        first = 0
        for path in self._paths:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=names and list(names))
                    yield first, table
                    first += len(table)

    def take(self, rows: NDArray[np.int64], name: str) -> Iterator[pa.Array]:
        """One column of these rows, which ascend; row groups without any of them are not read."""
        first = 0
        for path in self._paths:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    last = first + file.metadata.row_group(group).num_rows
                    inside = rows[np.searchsorted(rows, first) : np.searchsorted(rows, last)] - first
                    if len(inside):
                        column = file.read_row_group(group, columns=[name]).column(0).combine_chunks()
                        yield column.take(pa.array(inside))
                    first = last


def _read(path: Path, names: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read(list(names))
