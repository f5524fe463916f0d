"""What curation reads: a document, and a record that could not become one."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 8_000
"""Characters. Longer files are split at blank lines, so that good and bad parts of one file can part ways."""

_PARAGRAPH = re.compile(r".*?(?:\n\s*\n|\Z)", re.DOTALL)  # with the blank lines that end it


@dataclass(frozen=True)
class Document:
    """A text and where it came from."""

    id: str  # a digest of the text: equal texts have equal ids, wherever they were read
    text: str
    source: str  # the entry of the recipe that brought it: "python-docs", a folder, …
    origin: str = ""  # where inside the source, for people: a file, a line, an object's name


@dataclass(frozen=True)
class Reject:
    """A record that was set aside."""

    file: str
    line: int | None  # or row, from 1; None when the whole file is meant, or `offset` says where
    reason: str
    offset: int | None = None  # bytes from the file's beginning


Found = Document | Reject
"""What a reader finds."""


def make_document(text: str, source: str, origin: str = "") -> Document:
    """A document without the white space around its text; its id is the rest's digest, 128 bits.

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate, which no file can.
    """
    text = text.strip()
    return Document(hashlib.blake2b(text.encode(), digest_size=16).hexdigest(), text, source, origin)


def split_long(text: str, longest: int = LONGEST) -> Iterator[str]:
    """Consecutive pieces of at most `longest` characters; joined, they are the text again.

    Cuts fall between paragraphs where they can, else between lines, else anywhere.
    """
    piece: list[str] = []
    length = 0
    for part in _parts(text, longest):
        if piece and length + len(part) > longest:
            yield "".join(piece)
            piece, length = [], 0
        piece.append(part)
        length += len(part)
    if piece:
        yield "".join(piece)


def _parts(text: str, longest: int) -> Iterator[str]:
    """Paragraphs; of those that are too long, lines; of lines that are too long, cuts."""
    for paragraph in _PARAGRAPH.findall(text) if len(text) > longest else [text]:
        if len(paragraph) <= longest:
            if paragraph:
                yield paragraph
            continue
        for line in paragraph.splitlines(keepends=True):
            yield from (line[start : start + longest] for start in range(0, len(line), longest))
