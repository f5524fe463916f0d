"""Tokenised documents on disk: one flat file of ids and the offsets of the documents, by source."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from underdog.errors import UserError


class Shard:
    """The documents of one source, each ending in the end-of-text token."""

    def __init__(self, folder: Path, name: str):
        self.name = name
        try:
            self.offsets = np.load(folder / f"{name}.offsets.npy")  # int64 [documents + 1]
            self.tokens = np.load(folder / f"{name}.tokens.npy", mmap_mode="r")  # uint16 or uint32 [tokens]
        except (OSError, ValueError, EOFError) as problem:
            raise UserError(f"Shard {folder / name} cannot be read: {problem}.") from None
        if len(self.offsets) == 0 or self.offsets[-1] != len(self.tokens):
            raise UserError(f"Shard {folder / name} is damaged: its offsets do not match its tokens.")
        self.lengths = np.diff(self.offsets)

    @property
    def documents(self) -> int:
        return len(self.offsets) - 1

    def __len__(self) -> int:
        """Tokens in all."""
        return len(self.tokens)


def write_shard(folder: Path, name: str, documents: Iterable[list[int]], vocabulary: int) -> int:
    """Writes the documents' ids; returns the number of tokens."""
    dtype = np.uint16 if vocabulary <= 1 << 16 else np.uint32
    arrays = [np.asarray(ids, dtype=dtype) for ids in documents]
    offsets = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int64)
    np.save(folder / f"{name}.tokens.npy", np.concatenate(arrays) if arrays else np.empty(0, dtype))
    np.save(folder / f"{name}.offsets.npy", offsets)
    return int(offsets[-1])
