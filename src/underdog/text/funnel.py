"""The funnel: which documents are left, and why the others are not."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class Funnel:
    """Documents on their way through the steps of curation. None is forgotten: what goes keeps its reason."""

    def __init__(self, ids: pa.ChunkedArray, characters: NDArray[np.int64], tokens: NDArray[np.int64]):
        self.ids = ids
        self.characters = characters
        self.tokens = tokens
        """Words and single symbols; what a tokenizer makes of them comes later."""
        self.dropped: list[str | None] = [None] * len(ids)
        self.cluster: list[str | None] = [None] * len(ids)
        """The id of the document that stands for all its duplicates, itself included; None without
        duplicates."""
        self.steps: list[dict[str, str | int]] = []
        self._count("read")

    @property
    def left(self) -> NDArray[np.int64]:
        """Indices of the documents that no step has dropped, ascending."""
        return np.flatnonzero([reason is None for reason in self.dropped])

    def drop(self, step: str, reasons: Sequence[str | None]) -> None:
        """Drops those of the documents left that have a reason; `reasons` has one entry for each of them."""
        for index, reason in zip(self.left, reasons, strict=True):
            self.dropped[index] = reason
        self._count(step)

    def drop_duplicates(self, step: str, kept: Sequence[int | None], reason: Callable[[str], str]) -> None:
        """Drops those of the documents left that another one of them stands for.

        `kept` holds for each the position, among those left, of the one that stays for it, or None; `reason`
        words it from the id of the one that stays.
        """
        left = self.left
        for index, position in zip(left, kept, strict=True):
            if position is not None:
                standing = left[position]
                name = self.ids[int(standing)].as_py()
                self.dropped[index] = reason(name)
                self.cluster[index] = self.cluster[standing] = name
        self._count(step)

    def _count(self, step: str) -> None:
        left = self.left
        characters, tokens = int(self.characters[left].sum()), int(self.tokens[left].sum())
        self.steps.append({"step": step, "documents": len(left), "characters": characters, "tokens": tokens})
