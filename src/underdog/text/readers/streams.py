"""Bytes of files, compressed or not, in blocks and in lines of bounded length."""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from underdog.errors import extra

LARGEST = 32 << 20
"""Bytes. A larger record is set aside: it would take many times as much memory."""

COMPRESSED = (".gz", ".zst")
_BLOCK = 1 << 20
_COMPRESSED_BLOCK = 1 << 10  # small: it may grow a thousand times, and is lost when there is damage in it


class CutShort(Exception):
    """A compressed file that ends too early or is damaged; what came before was read."""


def blocks(path: Path, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The file's bytes, decompressed by its suffix. `start` and `stop` are for files that are not compressed.

    Raises:
        CutShort: after the last byte that could be read.
    """
    with path.open("rb") as file:
        if path.suffix.lower() in COMPRESSED:
            yield from _decompressed(iter(lambda: file.read(_COMPRESSED_BLOCK), b""), path.suffix.lower())
            return
        file.seek(start)
        left = (path.stat().st_size if stop is None else stop) - start
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block


def lines(parts: Iterable[bytes], number: int = 1) -> Iterator[tuple[int, bytes | None]]:
    """(number, line without its end) for each line; None in place of a line that is larger than LARGEST."""
    begun: list[bytes] = []
    length = 0
    for part in parts:
        whole = part.split(b"\n")
        for line in whole[:-1]:
            length += len(line)
            yield number, b"".join([*begun, line]) if length <= LARGEST else None
            begun, length, number = [], 0, number + 1
        length += len(whole[-1])
        begun = [*begun, whole[-1]] if length <= LARGEST else []
    if length:
        yield number, b"".join(begun) if length <= LARGEST else None


def read_whole(path: Path, start: int = 0, stop: int | None = None) -> bytes | None:
    """All bytes, decompressed; None if there are more than LARGEST."""
    parts: list[bytes] = []
    length = 0
    for part in blocks(path, start, stop):
        parts.append(part)
        length += len(part)
        if length > LARGEST:
            return None
    return b"".join(parts)


def _decompressed(parts: Iterator[bytes], suffix: str) -> Iterator[bytes]:
    """gzip and Zstandard alike: members or frames one after another."""
    stream: Any = None
    for part in parts:
        while part:
            stream = stream or _decompressor(suffix)
            try:
                yield stream.decompress(part)
            except Exception as problem:  # zlib.error, zstandard.ZstdError
                raise CutShort(f"damaged: {problem}") from None
            part = stream.unused_data
            if not stream.eof:
                break
            stream = None
            if not part.strip(b"\0"):  # tape blocks are filled up with zeros
                break
    if stream is not None:
        raise CutShort("cut short: the compressed data ends too early")


def _decompressor(suffix: str) -> Any:
    if suffix == ".gz":
        return zlib.decompressobj(wbits=31)
    with extra("curate", "Reading .zst files"):
        import zstandard
    return zstandard.ZstdDecompressor().decompressobj()
