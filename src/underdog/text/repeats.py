"""Lines and paragraphs that many documents share: menus, notices, headers. The first document that has one keeps it."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from underdog.text.kernels.parts import Parts, find_parts

_SHORTEST = {"paragraph": 40, "line": 20}
"""Characters. Shorter ones repeat by nature: "Parameters", "return x"."""

KINDS = tuple(_SHORTEST)


class Repeats(NamedTuple):
    """The parts that too many documents have."""

    hashes: NDArray[np.uint64]  # ascending
    documents: NDArray[np.int64]  # the number of the one that keeps it


def part_hashes(texts: pa.LargeStringArray, kind: str) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """(rows, hashes) of the different lines or paragraphs of each text; rows ascend."""
    parts = _parts(texts, kind)
    order = np.lexsort((parts.hashes, parts.rows))
    rows, hashes = parts.rows[order], parts.hashes[order]
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    return rows[new], hashes[new]


def find_repeats(hashes: NDArray[np.uint64], documents: NDArray[np.int64], most: int) -> Repeats:
    """The parts that more than `most` documents have; `documents` ascends and has one number for each hash."""
    different, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    often = counts > most
    return Repeats(different[often], documents[first[often]])


def without_repeats(
    texts: pa.LargeStringArray, documents: NDArray[np.int64], kind: str, repeats: Repeats
) -> dict[int, str]:
    """The new text of each row that loses a part to another document; `documents` has the rows' numbers."""
    if not len(repeats.hashes):
        return {}
    parts = _parts(texts, kind)
    place = np.minimum(np.searchsorted(repeats.hashes, parts.hashes), len(repeats.hashes) - 1)
    gone = (repeats.hashes[place] == parts.hashes) & (repeats.documents[place] != documents[parts.rows])
    changed: dict[int, str] = {}
    for row in np.unique(parts.rows[gone]).tolist():
        data, kept, end = texts[row].as_py().encode(), [], 0
        for part in np.flatnonzero(gone & (parts.rows == row)).tolist():
            kept.append(data[end : parts.begins[part]])
            end = parts.ends[part]
        changed[row] = b"".join([*kept, data[end:]]).decode().strip()
    return changed


def _parts(texts: pa.LargeStringArray, kind: str) -> Parts:
    return find_parts(texts, kind == "line", _SHORTEST[kind])
