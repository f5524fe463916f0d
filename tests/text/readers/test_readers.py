"""Each format read from real files, good and damaged: what is bad is set aside with its place, the rest lives."""

import gzip
import json
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from underdog.text.document import LONGEST, Document, Reject
from underdog.text.readers import formats
from underdog.text.readers.formats import cut, read_span
from underdog.text.readers.streams import LARGEST, lines

GOOD = [{"text": f"Record {n} is a good one, and long enough to be read."} for n in range(200)]
JSONL = "".join(json.dumps(record) + "\n" for record in GOOD).encode()
PAGE = (
    "<html><head><title>T</title><script>var x = 1;</script></head><body><nav><a href=a>Home</a></nav><main><h1>Head"
    "</h1><p>The first paragraph of the page says something.</p><p>The second one, too.</p></main></body></html>"
)


def read(path, field="text"):
    found = [found for span in cut(path, "mine", field) for found in read_span(span)]
    return [f for f in found if isinstance(f, Document)], [f for f in found if isinstance(f, Reject)]


def written(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def response(number, page=PAGE, kind="text/html; charset=utf-8", headers=""):
    body = page if isinstance(page, bytes) else page.encode()
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{headers}\r\n".encode() + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.org/{number}\r\n"
        f"WARC-Record-ID: <urn:uuid:{number}>\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(http)}\r\n\r\n"
    )
    return head.encode() + http + b"\r\n\r\n"


def test_bad_records_are_set_aside_with_line_and_reason(tmp_path):
    path = tmp_path / "mixed.jsonl"
    lines = [
        b'{"text": "first"}',
        b'{"text": ',
        b"",
        b'{"title": "no text"}',
        b'{"text": 5}',
        b'["text"]',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b"[" * 100_000,
        b'{"text": "long", "n": ' + b"9" * 5000 + b"}",
        b'{"text": "last", "other": 1}',
    ]
    documents, rejects = read(written(path, b"\n".join(lines)))
    assert [(d.text, d.source, d.origin) for d in documents] == [
        ("first", "mine", f"{path}:1"),
        ("last", "mine", f"{path}:11"),
    ]
    assert [reject.line for reject in rejects] == [2, 4, 5, 6, 7, 8, 9, 10]
    reasons = "\n".join(reject.reason for reject in rejects)
    for part in ("not valid JSON", "missing", "not a string", "not a JSON object", "not UTF-8", "surrogate"):
        assert part in reasons


def test_records_may_have_their_text_elsewhere(tmp_path):
    documents, rejects = read(written(tmp_path / "a.jsonl", '{"content": "Here."}\n{"text": "no"}'), "content")
    assert [d.text for d in documents] == ["Here."]
    assert rejects[0].reason == '"content" is missing'


def test_a_file_that_is_not_utf8_is_set_aside_whole(tmp_path):
    documents, rejects = read(written(tmp_path / "latin.txt", "café".encode("latin-1")))
    assert not documents
    assert (rejects[0].file, rejects[0].line) == (str(tmp_path / "latin.txt"), None)
    assert "byte 3" in rejects[0].reason


def test_of_a_large_file_only_the_lines_that_are_not_utf8_are_set_aside(tmp_path):
    good = "A line of good text that is written again and again.\n" * 20_000 + "\n"  # over a megabyte
    documents, rejects = read(written(tmp_path / "a.txt", good.encode() + b"bad \xff\xfe line\n\n" + good.encode()))
    assert [r.line for r in rejects] == [20_002]
    assert sum(d.text.count("A line of good text") for d in documents) == 40_000


def test_marks_of_other_systems_do_not_reach_the_text(tmp_path):
    assert read(written(tmp_path / "dos.txt", b"\xef\xbb\xbfOne.\r\nTwo.\r\n"))[0][0].text == "One.\nTwo."
    assert read(written(tmp_path / "dos.jsonl", b'\xef\xbb\xbf{"text": "One."}\r\n'))[0][0].text == "One."


def test_long_files_are_split_and_records_are_not(tmp_path):
    book = "\n\n".join(f"Paragraph {n} of a long book." for n in range(1000))
    pieces, _ = read(written(tmp_path / "book.txt", book))
    assert len(pieces) > 2
    assert max(len(piece.text) for piece in pieces) <= LONGEST
    assert [piece.origin[-4:] for piece in pieces[:2]] == [" (1)", " (2)"]
    assert len(read(written(tmp_path / "book.jsonl", json.dumps({"text": book})))[0]) == 1


@pytest.mark.parametrize(("suffix", "packed"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_compressed_files_read_like_plain_ones_and_cut_short_they_keep_what_came_before(tmp_path, suffix, packed):
    half = len(JSONL) // 2
    data = packed(JSONL[:half]) + packed(JSONL[half:])  # members, as tools that append make them
    documents, rejects = read(written(tmp_path / f"a.jsonl{suffix}", data))
    assert [d.text for d in documents] == [record["text"] for record in GOOD]
    assert not rejects
    documents, rejects = read(written(tmp_path / f"cut.jsonl{suffix}", data[:-20]))
    assert 50 < len(documents) < 200
    assert [d.text for d in documents] == [record["text"] for record in GOOD][: len(documents)]
    assert "cut short" in rejects[-1].reason
    assert rejects[-1].line > len(documents)
    documents, rejects = read(written(tmp_path / f"bad.jsonl{suffix}", b"no such format at all"))
    assert not documents
    assert "damaged" in rejects[0].reason
    assert read(written(tmp_path / f"a.txt{suffix}", packed(b"Plain text.")))[0][0].text == "Plain text."


def test_gzip_that_is_damaged_in_the_middle(tmp_path):
    packer = zlib.compressobj(wbits=31)
    data = b"".join(packer.compress(JSONL) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(20))
    documents, rejects = read(written(tmp_path / "a.jsonl.gz", data + b"\xff" * 100))
    assert 3000 < len(documents) <= 4000
    assert "damaged" in rejects[0].reason


def test_a_line_of_200_megabytes_is_set_aside_and_its_neighbours_live(tmp_path):
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "before"}\n{"text": "')
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n{"text": "after"}\n')
    documents, rejects = read(path)
    assert [d.text for d in documents] == ["before", "after"]
    assert [(r.line, r.reason) for r in rejects] == [(2, "larger than 32 MiB")]
    path.rename(path := tmp_path / "long.txt")
    documents, rejects = read(path)
    assert [d.text[:16] for d in documents] == ['{"text": "before', '{"text": "after"']
    assert [r.line for r in rejects] == [2]


def test_a_word_of_ten_million_letters_is_cut_like_any_long_text(tmp_path):
    documents, rejects = read(written(tmp_path / "word.txt", b"a" * 10_000_000))
    assert not rejects
    assert sum(len(d.text) for d in documents) == 10_000_000
    assert max(len(d.text) for d in documents) <= LONGEST


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "html", "py"])
def test_empty_files_say_so(tmp_path, suffix):
    assert read(written(tmp_path / f"a.{suffix}", b"")) == ([], [Reject(f"{tmp_path}/a.{suffix}", None, "empty")])


def test_nul_bytes_are_no_text(tmp_path):
    documents, rejects = read(written(tmp_path / "a.txt", "UTF-16".encode("utf-16")))
    assert not documents
    assert rejects
    documents, rejects = read(written(tmp_path / "b.txt", b"abc\0def"))
    assert not documents
    assert "NUL byte" in rejects[0].reason
    assert "byte 3" in rejects[0].reason


def test_parquet_rows_that_are_no_text_are_set_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "UNIT", 100)  # a span for each row group
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["One.", None, "Three.", "Four."], "n": [1, 2, 3, 4]}), path, row_group_size=2)
    assert len(list(cut(path, "mine", "text"))) == 2
    documents, rejects = read(path)
    assert [(d.text, d.origin) for d in documents] == [
        ("One.", f"{path}:1"),
        ("Three.", f"{path}:3"),
        ("Four.", f"{path}:4"),
    ]
    assert [(r.line, r.reason) for r in rejects] == [(2, '"text" is not a string')]
    assert 'no column "body"' in read(path, "body")[1][0].reason
    documents, rejects = read(written(tmp_path / "cut.parquet", path.read_bytes()[:-10]))
    assert not documents
    assert "cannot be read" in rejects[0].reason


def test_pages_give_their_main_text(tmp_path):
    (document,), rejects = read(written(tmp_path / "a.html", PAGE))
    assert "The first paragraph of the page says something." in document.text
    assert "Home" not in document.text
    assert "var x" not in document.text
    assert not rejects
    cyrillic = "<html><head><meta charset=windows-1251></head><body><p>Текст страницы, по-русски.</p></body></html>"
    (document,), _ = read(written(tmp_path / "b.html", cyrillic.encode("cp1251")))
    assert document.text == "Текст страницы, по-русски."


@pytest.mark.parametrize("tag", ["div", "b", "table"])
def test_deep_pages_are_set_aside_and_many_open_paragraphs_are_not(tmp_path, tag):
    deep = f"<{tag}>" * 100_000 + "deep" + f"</{tag}>" * 100_000
    documents, rejects = read(written(tmp_path / "deep.html", deep))
    assert not documents
    assert "inside each other" in rejects[0].reason
    documents, rejects = read(written(tmp_path / "open.html", "<main>" + "<p>Said again. <br><li>" * 5_000))
    assert documents[0].text.count("Said again.") == 5_000


@pytest.mark.parametrize("packed", [False, True])
def test_archives_give_a_document_for_each_page(tmp_path, packed):
    pack = gzip.compress if packed else bytes
    records = [pack(response(n)) for n in range(5)]
    suffix = ".gz" if packed else ""
    documents, rejects = read(written(tmp_path / f"a.warc{suffix}", b"".join(records)))
    assert [d.origin for d in documents] == [f"http://example.org/{n}" for n in range(5)]
    assert all("first paragraph" in d.text for d in documents)
    assert not rejects
    documents, rejects = read(written(tmp_path / f"cut.warc{suffix}", b"".join(records)[:-100]))
    assert [d.origin[-1] for d in documents] == list("0123")
    assert (rejects[0].offset, rejects[0].line) == (sum(map(len, records[:4])), None)
    damaged = b"".join(records[:2]) + b"some garbage in between\r\n" * 3 + b"".join(records[2:])
    documents, rejects = read(written(tmp_path / f"bad.warc{suffix}", damaged))
    assert [d.origin[-1] for d in documents] == list("01234")
    assert len(rejects) == 1
    assert "damaged" in rejects[0].reason


GZIP, CHUNKED = "Content-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n"


def in_chunks(body, size=100):
    parts = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"%x; a=b\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])


@pytest.mark.parametrize(
    ("page", "headers"),
    [
        (gzip.compress(PAGE.encode()), GZIP),
        (zlib.compress(PAGE.encode()), "Content-Encoding: deflate\r\n"),
        (in_chunks(PAGE.encode()), CHUNKED),
        (in_chunks(gzip.compress(PAGE.encode())), GZIP + CHUNKED),
        (PAGE, GZIP + CHUNKED),  # a crawler took them off
    ],
    ids=["gzip", "deflate", "chunks", "gzip in chunks", "neither"],  # gzip's bytes hold the time of day
)
def test_archives_may_hold_pages_as_they_were_sent(tmp_path, page, headers):
    (plain,), _ = read(written(tmp_path / "plain.warc", response(0)))
    (found,), rejects = read(written(tmp_path / "a.warc", response(0, page, headers=headers)))
    assert (found.text, rejects) == (plain.text, [])


@pytest.mark.parametrize(
    ("page", "headers", "why"),
    [
        (gzip.compress(PAGE.encode())[:60], GZIP, "cut short"),
        (b"no gzip", GZIP, "incorrect header check"),
        (in_chunks(PAGE.encode())[:150], CHUNKED, "cut short"),
        (b"some words", "Content-Encoding: br\r\n", "its Content-Encoding is br"),
    ],
    ids=["torn", "no gzip", "torn chunks", "brotli"],
)
def test_pages_that_cannot_be_decoded_are_set_aside_alone(tmp_path, page, headers, why):
    records = response(0) + response(1, page, headers=headers) + response(2)
    documents, (reject,) = read(written(tmp_path / "a.warc", records))
    assert [d.origin[-1] for d in documents] == ["0", "2"]
    assert why in reject.reason and reject.offset == len(response(0))


def test_archives_skip_what_is_no_page(tmp_path):
    image = response(1, "GIF89a", "image/gif")
    documents, rejects = read(written(tmp_path / "a.warc", response(0) + image + response(2)))
    assert [d.origin[-1] for d in documents] == ["0", "2"]
    assert not rejects
    documents, rejects = read(written(tmp_path / "nul.warc", b"\0" * 1000))
    assert not documents
    assert len(rejects) == 1


def test_large_files_are_cut_at_lines_and_say_which(tmp_path, monkeypatch):
    path = written(tmp_path / "a.jsonl", JSONL)
    whole = read(path)
    monkeypatch.setattr(formats, "UNIT", 1000)
    big = written(tmp_path / "b.jsonl", (b'{"text": "%d of a million"}\n' * 120_000) % tuple(range(120_000)))
    spans = list(cut(big, "mine", "text"))
    assert len(spans) > 2
    assert [span.start for span in spans[1:]] == [span.stop for span in spans[:-1]]
    documents, rejects = read(big)
    assert [d.origin for d in documents] == [f"{big}:{n}" for n in range(1, 120_001)]
    assert not rejects
    assert [d.text for d in whole[0]] == [record["text"] for record in GOOD]


@given(st.lists(st.binary(max_size=20), max_size=8), st.integers(1, 7))
def test_lines_are_what_split_would_give_however_the_blocks_are_cut(parts, size):
    data = b"".join(parts) + b"\nend"
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    assert [line for _, line in lines(blocks)] == data.split(b"\n")
    assert all(len(line) < LARGEST for line in data.split(b"\n"))
