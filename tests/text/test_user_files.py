import json

import pytest

from underdog.errors import UserError
from underdog.text.document import LONGEST
from underdog.text.user_files import find_files, read_file


def read(path):
    rejects = []
    return list(read_file(path, "mine", rejects.append)), rejects


def test_a_folder_is_searched_to_its_depth_in_a_fixed_order(tmp_path):
    names = ("b.md", "a.txt", "deep/er/c.rst", "deep/d.jsonl", ".git/config.txt", "deep/.e.txt", "image.png")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [str(path.relative_to(tmp_path)) for path in find_files(str(tmp_path))]
    assert names == ["a.txt", "b.md", "deep/d.jsonl", "deep/er/c.rst"]


def test_globs_and_single_files(tmp_path):
    for name in ("one.txt", "two.TXT", "[three].txt", "four.bin"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in find_files(f"{tmp_path}/t*.TXT")] == ["two.TXT"]
    assert len(find_files(f"{tmp_path}/*")) == 3  # only what can be read
    literal = find_files(f"{tmp_path}/[three].txt")
    assert [path.name for path in literal] == ["[three].txt"]  # a name, not a pattern


@pytest.mark.parametrize("entry", ["missing", "missing/*.txt", "empty", "picture.png"])
def test_nothing_to_read_is_an_error_that_names_the_entry(tmp_path, entry):
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=entry.replace("*", r"\*")):
        find_files(f"{tmp_path}/{entry}")


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
    path.write_bytes(b"\n".join(lines))
    documents, rejects = read(path)
    assert [(d.text, d.source, d.origin) for d in documents] == [
        ("first", "mine", f"{path}:1"),
        ("last", "mine", f"{path}:11"),
    ]
    assert [reject.line for reject in rejects] == [2, 4, 5, 6, 7, 8, 9, 10]
    reasons = "\n".join(reject.reason for reject in rejects)
    for part in ("not valid JSON", "missing", "not a string", "not a JSON object", "not UTF-8", "surrogate"):
        assert part in reasons


def test_a_file_that_is_not_utf8_is_set_aside_whole(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("café".encode("latin-1"))
    documents, rejects = read(path)
    assert not documents
    assert (rejects[0].file, rejects[0].line) == (str(path), None)
    assert "byte 3" in rejects[0].reason


def test_marks_of_other_systems_do_not_reach_the_text(tmp_path):
    (tmp_path / "dos.txt").write_bytes(b"\xef\xbb\xbfOne.\r\nTwo.\r\n")
    (tmp_path / "dos.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "One."}\r\n')
    assert read(tmp_path / "dos.txt")[0][0].text == "One.\nTwo."
    assert read(tmp_path / "dos.jsonl")[0][0].text == "One."


def test_long_files_are_split_and_records_are_not(tmp_path):
    book = "\n\n".join(f"Paragraph {n} of a long book." for n in range(1000))
    (tmp_path / "book.txt").write_text(book)
    (tmp_path / "book.jsonl").write_text(json.dumps({"text": book}))
    pieces, _ = read(tmp_path / "book.txt")
    assert len(pieces) > 2
    assert max(len(piece.text) for piece in pieces) <= LONGEST
    assert [piece.origin[-4:] for piece in pieces[:2]] == [" (1)", " (2)"]
    assert len(read(tmp_path / "book.jsonl")[0]) == 1
