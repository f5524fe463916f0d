"""Which reader reads which file, by its name, and how large files are cut into spans."""

from collections.abc import Callable, Iterator
from pathlib import Path

from underdog.text.document import Found, Reject
from underdog.text.python_corpus import READERS as PYTHON_READERS
from underdog.text.readers.plain import read_text
from underdog.text.readers.records import read_json_lines, read_parquet
from underdog.text.readers.span import UNIT, Span
from underdog.text.readers.streams import COMPRESSED
from underdog.text.readers.web import read_html, read_warc

READERS: dict[str, Callable[[Span], Iterator[Found]]] = {
    "text": read_text,
    "json-lines": read_json_lines,
    "parquet": read_parquet,
    "html": read_html,
    "warc": read_warc,
    **PYTHON_READERS,
}

_CODE = (
    "bash c cc clj cpp cs dart ex fs go h hpp hs java jl js kt lean lua m ml php pl py r rb rs scala sh sql swift ts"
)
_TEXT = ("txt", "md", "markdown", "rst", "tex", *_CODE.split())
_BY_SUFFIX = {
    **{f".{name}": "text" for name in _TEXT},
    **dict.fromkeys((".jsonl", ".ndjson"), "json-lines"),
    ".parquet": "parquet",
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".warc": "warc",
}
READS = "Curation reads text, Markdown, source code, .jsonl, .parquet, .html and .warc; also .gz and .zst of them."


def reader_of(path: Path) -> str | None:
    """The reader for a file of that name; None if there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compressed = bool(suffixes) and suffixes[-1] in COMPRESSED
    reader = _BY_SUFFIX.get(suffixes[-2] if compressed and len(suffixes) > 1 else suffixes[-1]) if suffixes else None
    if compressed and (reader == "parquet" or (reader == "warc" and suffixes[-1] != ".gz")):
        return None  # Parquet compresses inside; fastwarc reads gzip
    return reader


def cut(path: Path, source: str, field: str) -> Iterator[Span]:
    """One span for a small file; for a large one that allows it, one for every few megabytes."""
    reader, size = reader_of(path) or "text", path.stat().st_size
    whole = Span(source, reader, str(path), size=size, field=field)
    compressed = path.suffix.lower() in COMPRESSED
    if reader == "parquet" and size > UNIT:
        yield from _row_groups(whole)
    elif reader in ("text", "json-lines") and size > 2 * UNIT and not compressed:
        yield from _line_ranges(whole)
    else:
        yield whole


def _line_ranges(whole: Span) -> Iterator[Span]:
    """Cuts at the first end of a line after every few megabytes, and counts the lines before each."""
    start, line, at, newlines = 0, 1, 0, 0
    with open(whole.path, "rb") as file:
        while block := file.read(1 << 20):
            if at + len(block) - start >= UNIT and (place := block.find(b"\n")) >= 0:
                stop = at + place + 1
                yield _part(whole, start, stop, line)
                line += newlines + 1
                start, newlines = stop, block.count(b"\n") - 1
            else:
                newlines += block.count(b"\n")
            at += len(block)
    if start < at:
        yield _part(whole, start, at, line)


def _row_groups(whole: Span) -> Iterator[Span]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(whole.path) as file:
            groups = file.num_row_groups
            rows = [file.metadata.row_group(group).num_rows for group in range(groups)]
    except (pa.ArrowException, OSError):
        yield whole  # its reader says what is wrong
        return
    first = 1
    for group in range(groups):
        yield _part(whole, group, group + 1, first, whole.size // groups)
        first += rows[group]


def _part(whole: Span, start: int, stop: int, line: int, size: int | None = None) -> Span:
    return Span(whole.source, whole.reader, whole.path, start, stop, line, size or stop - start, whole.field)


def read_span(span: Span) -> Iterator[Found]:
    """The documents of a span, and the records that could not become one. Nothing in a file ends the reading."""
    try:
        yield from READERS[span.reader](span)
    except OSError as problem:
        yield Reject(span.path, None, f"cannot be read: {problem.strerror or problem}")
