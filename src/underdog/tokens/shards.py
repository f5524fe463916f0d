"""Tokenised documents on disk, by tier: one flat file of ids, where each document ends, and a header.

The header says which tokenizer the ids are of and holds a checksum for every block of them. A block is checked when
it is first read, so that a shard of any size opens at once and no damaged token is ever trained on.
"""

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from underdog.artifacts.files import read_json, write_json
from underdog.errors import UserError
from underdog.recipe.schema import ADDED, TIERS

FORMAT = "underdog-shard-1"
BLOCK = 1 << 18  # tokens to a checksum
AGAIN = "Remove that folder and run the recipe again: only this stage is made anew."


class Shard:
    """The documents of one tier, each ending in the end-of-text token."""

    def __init__(self, folder: Path, name: str, tokenizer: str | None = None):
        """`tokenizer` is the fingerprint of the one that the ids should be of.

        Raises:
            UserError: a file is missing, damaged, or of another tokenizer.
        """
        self.name = name
        self._path = folder / name
        self._header = _read_header(folder, name)
        try:
            self.offsets = np.load(folder / f"{name}.offsets.npy")  # int64 [documents + 1]
            self.tokens = np.load(folder / f"{name}.tokens.npy", mmap_mode="r")  # uint16 or uint32 [tokens]
        except (OSError, ValueError, EOFError) as problem:
            raise UserError(f"Shard {self._path} cannot be read: {problem}.", hint=AGAIN) from None
        if (
            (len(self.offsets) - 1, len(self.tokens)) != (self._header["documents"], self._header["tokens"])
            or self.offsets[-1] != len(self.tokens)
            or zlib.crc32(self.offsets) != self._header["offsets_crc32"]
        ):
            raise UserError(f"Shard {self._path} is damaged: its offsets do not match its tokens.", hint=AGAIN)
        if tokenizer and self._header["tokenizer"] != tokenizer:
            raise UserError(
                f"Shard {self._path} is of another tokenizer: its ids would be read as other tokens.",
                hint="Tokenize that text with the tokenizer of this run.",
            )
        self.lengths = np.diff(self.offsets)
        self._unchecked = set(range(len(self._header["crc32"])))

    @property
    def documents(self) -> int:
        return len(self.offsets) - 1

    def __len__(self) -> int:
        """Tokens in all."""
        return len(self.tokens)

    def read(self, document: int, skip: int, count: int) -> np.ndarray:
        """At most `count` ids of a document from its token `skip` on."""
        low = int(self.offsets[document]) + skip
        high = min(low + count, int(self.offsets[document + 1]))
        for block in range(low // BLOCK, (high - 1) // BLOCK + 1):
            if block in self._unchecked:
                self._check(block)
        return self.tokens[low:high]

    def of_source(self, source: str) -> np.ndarray:
        """The documents that a source of curated text brought."""
        names = self._header["sources"]
        if source not in names:
            return np.empty(0, np.int64)
        return np.flatnonzero(np.load(self._path.with_name(f"{self.name}.sources.npy")) == names.index(source))

    def _check(self, block: int) -> None:
        ids = self.tokens[block * BLOCK : (block + 1) * BLOCK]
        if zlib.crc32(ids) != self._header["crc32"][block]:
            raise UserError(
                f"Shard {self._path} is damaged: the checksum of tokens {block * BLOCK:,} to "
                f"{block * BLOCK + len(ids):,} differs.",
                hint=AGAIN,
            )
        self._unchecked.remove(block)


class Selection:
    """Some documents of several shards, as if they were one."""

    def __init__(self, parts: Sequence[tuple[Shard, np.ndarray]]):
        self._shards = [shard for shard, _ in parts]
        self._shard = np.repeat(np.arange(len(parts)), [len(documents) for _, documents in parts])
        self._document = np.concatenate([documents for _, documents in parts])
        self.lengths = np.concatenate([shard.lengths[documents] for shard, documents in parts])

    @property
    def documents(self) -> int:
        return len(self.lengths)

    def __len__(self) -> int:
        return int(self.lengths.sum())

    def read(self, document: int, skip: int, count: int) -> np.ndarray:
        return self._shards[self._shard[document]].read(int(self._document[document]), skip, count)


def open_source(folder: Path, name: str, tokenizer: str | None = None) -> Shard | Selection:
    """What a mixture means by a name: a tier ("top"), a source of curated text ("python-docs"), or both
    ("top/python-docs")."""
    if name in (*TIERS, *ADDED):
        return Shard(folder, name, tokenizer)
    tier, _, source = name.partition("/")
    tiers, source = ([tier], source) if tier in TIERS else (TIERS, name)
    shards = [Shard(folder, one, tokenizer) for one in tiers]
    return Selection([(shard, shard.of_source(source)) for shard in shards])


def write_shard(
    folder: Path,
    name: str,
    documents: Iterable[list[int]],
    vocabulary: int,
    *,
    tokenizer: str = "",
    sources: Sequence[str] = (),
) -> int:
    """Writes the documents' ids; returns the number of tokens. `sources` says where each document came from."""
    dtype = np.uint16 if vocabulary <= 1 << 16 else np.uint32
    arrays = [np.asarray(ids, dtype=dtype) for ids in documents]
    offsets = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int64)
    tokens = np.concatenate(arrays) if arrays else np.empty(0, dtype)
    names = sorted(set(sources))
    np.save(folder / f"{name}.tokens.npy", tokens)
    np.save(folder / f"{name}.offsets.npy", offsets)
    if names:
        np.save(folder / f"{name}.sources.npy", np.array([names.index(source) for source in sources], np.uint16))
    write_json(
        folder / f"{name}.json",
        {
            "format": FORMAT,
            "tokenizer": tokenizer,
            "documents": len(arrays),
            "tokens": len(tokens),
            "sources": names,
            "offsets_crc32": zlib.crc32(offsets),
            "crc32": [zlib.crc32(tokens[low : low + BLOCK]) for low in range(0, len(tokens), BLOCK)],
        },
    )
    return len(tokens)


def _read_header(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    if not path.exists():
        raise UserError(f"Shard {folder / name} cannot be read: it has no header {path.name}.", hint=AGAIN)
    header = read_json(path, AGAIN)
    wanted = ("tokenizer", "documents", "tokens", "sources", "offsets_crc32", "crc32")
    if not isinstance(header, dict) or header.get("format") != FORMAT or any(key not in header for key in wanted):
        raise UserError(f"{path} is not the header of a shard that this version of Underdog wrote.", hint=AGAIN)
    return header
