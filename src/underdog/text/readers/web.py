"""Pages: HTML files and WARC archives. One document a page, its main text without the frame around it."""

import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from underdog.errors import extra
from underdog.text.document import Found, Reject, make_document
from underdog.text.readers.span import Span
from underdog.text.readers.streams import LARGEST, CutShort, read_whole

_DEEPEST = 2_000
"""Elements inside each other. The extractor's time grows with the square of it; browsers give up at 512."""

_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*?(/?)>")
_UNCLOSED = frozenset(  # void elements, and those whose end tags authors may leave out
    b"area base br col embed hr img input link meta source track wbr p li dt dd tr td th thead tbody tfoot option"
    b" optgroup colgroup rb rt rp html head body".split()
)
_TOO_LARGE = "larger than 32 MiB"
_GZIP_OR_ZLIB = 47  # zlib looks at the header which of them it is
_RECORD_STARTS = {".gz": b"\x1f\x8b\x08", "": b"WARC/1."}


def read_html(span: Span) -> Iterator[Found]:
    """The page's main text."""
    try:
        page = read_whole(Path(span.path))
    except CutShort as problem:
        yield Reject(span.path, None, str(problem))
        return
    if page is None:
        yield Reject(span.path, None, _TOO_LARGE)
    elif not page.strip():
        yield Reject(span.path, None, "empty")
    else:
        yield _page(page, None, span, span.path, None)


def read_warc(span: Span) -> Iterator[Found]:
    """A document from each response that is a page. After a damaged record, reading goes on at the next whole one."""
    path = Path(span.path)
    compressed = path.suffix.lower() == ".gz"
    start = 0
    while start is not None:
        at = start
        try:
            for place, found in _responses(path, start, span):
                at = place
                if found:
                    yield found
            return
        except (OSError, ValueError, EOFError) as problem:
            yield Reject(span.path, None, f"damaged after the record here: {problem}", offset=at)
        start = _next_record(path, at + 1, _RECORD_STARTS[".gz" if compressed else ""])


def _responses(path: Path, start: int, span: Span) -> Iterator[tuple[int, Found | None]]:
    """(where the record begins, what became of it) from `start` on; None for pages of other kinds."""
    with extra("curate", "Reading WARC"):
        from fastwarc.warc import ArchiveIterator, WarcRecordType
    with path.open("rb") as file:
        file.seek(start)
        for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
            at = start + record.stream_pos
            if record.content_length > LARGEST:
                yield at, Reject(span.path, None, _TOO_LARGE, offset=at)
                continue
            body = record.reader.read()
            if len(body) < record.content_length:
                yield at, Reject(span.path, None, "cut short", offset=at)
            elif (record.http_content_type or "text/html") in ("text/html", "application/xhtml+xml"):
                address = record.headers.get("WARC-Target-URI") or f"{span.path} at byte {at}"
                yield at, _response(body, record, span, address, at)
            else:
                yield at, None


def _response(body: bytes, record: Any, span: Span, address: str, at: int) -> Found:
    try:
        page = _decoded(body, record.http_headers)
    except (ValueError, zlib.error) as problem:
        return Reject(span.path, None, f"its body cannot be decoded: {problem}", offset=at)
    return _page(page, record.http_charset, span, address, at)


def _decoded(body: bytes, headers: Mapping[str, str]) -> bytes:
    """A response's body without its HTTP encodings. Crawlers that took them off often left the headers as they were:
    what begins like a page is one."""
    if body.lstrip().startswith(b"<"):
        return body
    if "chunked" in (headers.get("Transfer-Encoding") or "").lower():
        body = _joined(body)
    coding = (headers.get("Content-Encoding") or "identity").strip().lower()
    if coding in ("gzip", "x-gzip", "deflate"):
        unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
        body = unpacker.decompress(body, LARGEST)
        if not unpacker.eof:
            raise ValueError(_TOO_LARGE if unpacker.unconsumed_tail else "cut short")
    elif coding != "identity":
        raise ValueError(f"its Content-Encoding is {coding}")
    return body


def _joined(body: bytes) -> bytes:
    """The chunks of a body, each behind a line with its size (RFC 9112, section 7.1)."""
    parts, place = [], 0
    while (end := body.find(b"\r\n", place)) >= 0:
        size = int(body[place:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        place = end + 2 + size + 2
    raise ValueError("cut short")


def _next_record(path: Path, start: int, mark: bytes) -> int | None:
    """Where the next mark of a record's start is; None if there is none."""
    tail = b""
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(1 << 20):
            place = (tail + block).find(mark)
            if place >= 0:
                return start - len(tail) + place
            start += len(block)
            tail = block[-len(mark) :]
    return None


def _page(page: bytes, charset: str | None, span: Span, origin: str, offset: int | None) -> Found:
    if _depth(page) > _DEEPEST:
        return Reject(span.path, None, f"more than {_DEEPEST:,} elements inside each other", offset=offset)
    extract, tree, detect = _library()
    try:
        encoding = charset or detect(page)
        text = extract(tree.parse_from_bytes(page, encoding), main_content=True, alt_texts=False, links=False)
        return make_document(text.replace("\r\n", "\n"), span.source, origin)
    except (ValueError, LookupError, UnicodeError) as problem:
        return Reject(span.path, None, f"cannot be read as HTML: {problem}", offset=offset)


def _depth(page: bytes) -> int:
    """How deep elements lie inside each other, about: elements that authors leave open do not count."""
    depth = deepest = 0
    if page.count(b"<") <= _DEEPEST:
        return 0
    for ends, name, alone in _TAG.findall(page):
        if name.lower() not in _UNCLOSED and not alone:
            depth += -1 if ends else 1
            deepest = max(deepest, depth)
    return deepest


def _library() -> tuple[Any, Any, Any]:
    with extra("curate", "Reading HTML"):
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.encoding import detect_encoding
        from resiliparse.parse.html import HTMLTree
    return extract_plain_text, HTMLTree, detect_encoding
