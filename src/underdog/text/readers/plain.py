"""Text files: prose, Markdown, source code. One document a file, split where it is long."""

from collections.abc import Iterator
from pathlib import Path

from underdog.text.document import Document, Found, Reject, make_document, split_long
from underdog.text.readers.span import Span
from underdog.text.readers.streams import CutShort, blocks, lines

_BLOCK = 1 << 20  # bytes that are decoded at once; a file of less is decoded as a whole
_FEW = 0.01  # of the lines


def read_text(span: Span) -> Iterator[Found]:
    """The pieces of one text file, or of a part of one."""
    pieces = _pieces(span)
    before = next(pieces, None)
    if before is None:
        yield Reject(span.path, None, "empty")
        return
    number = 0
    for piece in pieces:
        number += isinstance(before, str)
        yield _document(before, span, number) if isinstance(before, str) else before
        before = piece
    number += isinstance(before, str)
    alone = number == 1 and span.start == 0
    yield _document(before, span, 0 if alone else number) if isinstance(before, str) else before


def _document(text: str, span: Span, number: int) -> Document:
    place = span.path if span.line == 1 else f"{span.path}:{span.line}"
    return make_document(text, span.source, f"{place} ({number})" if number else place)


def _pieces(span: Span) -> Iterator[str | Reject]:
    for line, block in _gathered(span):
        if isinstance(block, Reject):
            yield block
        elif b"\0" in block:
            yield Reject(span.path, line, f"holds a NUL byte, as text does not, at byte {block.index(0)}")
        else:
            for part in _decoded(block, line, span):
                yield from [part] if isinstance(part, Reject) else split_long(part.replace("\r\n", "\n"))


def _decoded(block: bytes, line: int | None, span: Span) -> Iterator[str | Reject]:
    """The block's text. Where it is not UTF-8, a few bad lines are set aside; with many, the block is not text."""
    try:
        yield block.decode("utf-8-sig" if line is None else "utf-8")
        return
    except UnicodeDecodeError as problem:
        whole = Reject(span.path, line, f"not UTF-8 at byte {problem.start}")
    lines_ = block.split(b"\n")
    bad = {number for number, part in enumerate(lines_) if not _is_utf8(part)}
    if len(bad) > _FEW * len(lines_):
        yield whole
        return
    yield from (Reject(span.path, (line or 1) + number, "not UTF-8") for number in sorted(bad))
    yield b"\n".join(part for number, part in enumerate(lines_) if number not in bad).decode("utf-8-sig")


def _is_utf8(part: bytes) -> bool:
    try:
        part.decode()
    except UnicodeDecodeError:
        return False
    return True


def _gathered(span: Span) -> Iterator[tuple[int | None, bytes | Reject]]:
    """Lines in blocks that end at a blank line where they can; the number of the first, None for the file's first."""
    block: list[bytes] = []
    size, first = 0, span.line
    try:
        for number, line in lines(blocks(Path(span.path), span.start, span.stop), span.line):
            if line is None:
                if block:
                    yield _place(first), b"\n".join(block)
                yield number, Reject(span.path, number, "a line of more than 32 MiB")
                block, size, first = [], 0, number + 1
                continue
            block.append(line)
            size += len(line) + 1
            if size > _BLOCK and (not line.strip() or size > 4 * _BLOCK):
                yield _place(first), b"\n".join(block) + b"\n"
                block, size, first = [], 0, number + 1
    except CutShort as problem:
        if block:
            yield _place(first), b"\n".join(block)
        yield first, Reject(span.path, first + len(block), str(problem))
        return
    if block:
        yield _place(first), b"\n".join(block)


def _place(line: int) -> int | None:
    return line if line > 1 else None
