import pytest

from underdog.errors import UserError
from underdog.tasks.files import read_table, texts_of, write_table

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
