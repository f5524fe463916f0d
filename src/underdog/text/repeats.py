"""Lines and paragraphs that many documents share: menus, notices, headers. The first document that has one keeps it."""

import hashlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_BLANK_LINES = re.compile(r"(\n\s*\n)")
_SHORTEST = {"paragraph": 40, "line": 20}
"""Characters. Shorter ones repeat by nature: "Parameters", "return x"."""

KINDS = tuple(_SHORTEST)
Repeats = dict[int, int]
"""Hash of a part -> the number of the document that keeps it."""


def part_hashes(text: str, kind: str) -> list[int]:
    """A 64-bit hash of each different line or paragraph of a text."""
    return list({_hash(part) for part, _ in _parts(text, kind) if len(part) >= _SHORTEST[kind]})


def find_repeats(hashes: NDArray[np.uint64], documents: NDArray[np.int64], most: int) -> Repeats:
    """The parts that more than `most` documents have; `documents` ascends and has one number for each hash."""
    different, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    often = counts > most
    return dict(zip(different[often].tolist(), documents[first[often]].tolist(), strict=True))


def without_repeats(text: str, document: int, repeats: Sequence[tuple[str, Repeats]]) -> str:
    """The text without the parts, of each kind, that another document keeps."""
    for kind, known in repeats:
        if known:
            kept = [
                part + end
                for part, end in _parts(text, kind)
                if len(part) < _SHORTEST[kind] or known.get(_hash(part), document) == document
            ]
            text = "".join(kept).strip()
    return text


def _parts(text: str, kind: str) -> Iterator[tuple[str, str]]:
    """(part, the line ends behind it)."""
    if kind == "line":
        yield from ((line.rstrip("\n"), "\n" if line.endswith("\n") else "") for line in text.splitlines(keepends=True))
    else:
        pieces = [*_BLANK_LINES.split(text), ""]
        yield from zip(pieces[::2], pieces[1::2], strict=True)


def _hash(part: str) -> int:
    return int.from_bytes(hashlib.blake2b(part.strip().encode(), digest_size=8).digest(), "little")
