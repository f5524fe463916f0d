from datetime import datetime
from decimal import Decimal

import pytest

from underdog.errors import UserError
from underdog.tasks.files import read_table, texts_of, whole, write_table

ROWS = [{"id": 1, "text": "a, b"}, {"id": 2, "text": "Größe\n🙂"}]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_what_is_written_is_read(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    write_table(ROWS, path)
    rows = read_table(path)
    assert texts_of(rows, "text", path) == ["a, b", "Größe\n🙂"]
    assert [int(row["id"]) for row in rows] == [1, 2]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.txt", "", r"none of \.csv"),
        ("t.csv", "text,b\nx\n", "line 2: it has not as many fields"),
        ("t.jsonl", '{"text": "a"}\n{"text"\n', "line 2"),
        ("t.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("t.parquet", "x", "not a Parquet file"),
        ("t.jsonl", '{"texts": "a"}\n', 'row 1 has no column "text"'),
        ("t.jsonl", '{"text": 5}\n', "is no text"),
        ("t.csv", "text,a,b,a\nx,1,2,3\n", 'names two columns "a"'),
    ],
)
def test_a_bad_table_is_named(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=words):
        texts_of(read_table(path), "text", path)


def test_columns_that_only_some_rows_have_and_values_of_several_types(tmp_path):
    path = tmp_path / "t.parquet"
    write_table([{"a": 1}, {"a": "x", "b": [1]}], path)
    assert read_table(path) == [{"a": "1", "b": None}, {"a": '"x"', "b": [1]}]


def test_a_table_of_a_spreadsheet_has_a_mark_before_its_first_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufefftext\nа\n".encode())
    assert read_table(path) == [{"text": "а"}]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_folder_is_no_table(tmp_path, kind):
    (tmp_path / f"t.{kind}").mkdir()
    (tmp_path / f"t.{kind}" / "x").write_text("x")
    with pytest.raises(UserError, match=rf"t\.{kind} (cannot be read|is not a Parquet file)"):
        read_table(tmp_path / f"t.{kind}")


def test_rows_of_a_csv_stay_where_they_are(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text\na\n\nb\n")
    assert read_table(path) == [{"text": "a"}, {"text": ""}, {"text": "b"}]
    path.write_text(f"text,n\n{'a' * 200_000},1\n\nb,2\n")
    assert [len(row["text"]) for row in read_table(path)] == [200_000, 1]


def test_what_only_parquet_holds_is_written_as_text_elsewhere(tmp_path):
    when, odd = datetime(2026, 11, 22, 10), {"sum": Decimal("1.10"), "raw": b"\xff", "in": [datetime(2026, 1, 1)]}
    write_table([{"when": when, **odd}], tmp_path / "t.parquet")
    rows = read_table(tmp_path / "t.parquet")
    write_table(rows, tmp_path / "t.jsonl")
    plain = {"when": "2026-11-22T10:00:00", "sum": "1.10", "raw": "/w==", "in": ["2026-01-01T00:00:00"]}
    assert read_table(tmp_path / "t.jsonl") == [plain]
    write_table(rows, tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv")[0]["in"] == '["2026-01-01T00:00:00"]'


def test_what_parquet_does_not_hold_is_json_there(tmp_path):
    path = tmp_path / "t.parquet"
    write_table([{"a": {}, "b": 2**70, "c": [{"d": {}}], "e": {"f": [1]}}], path)
    assert read_table(path) == [{"a": "{}", "b": str(2**70), "c": '[{"d": {}}]', "e": {"f": [1]}}]


def test_half_a_character_becomes_a_question_mark(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "hi \\ud83d", "n": 1.5}\n{"text": "hi \\uD83D\\uDE42"}\n')
    assert read_table(path) == [{"text": "hi ?", "n": 1.5}, {"text": "hi 🙂"}]
    assert whole({"a": ["\ud83d"]}) == {"a": ["?"]}
