import json

import pytest

from underdog.errors import UserError
from underdog.tasks.files import read_table, run_over, texts_of, write_table

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


def test_a_stopped_job_goes_on_where_it_was(tmp_path):
    rows = [{"text": str(i)} for i in range(6)]
    out, worked = tmp_path / "out.jsonl", []

    def work(index):
        worked.append(index)
        if len(worked) == 4:
            raise KeyboardInterrupt
        return {"length": index}

    with pytest.raises(KeyboardInterrupt):
        run_over(rows, work, out, {"a": 1})
    part = tmp_path / "out.jsonl.part"
    assert not out.exists()
    part.write_text(part.read_text() + '{"leng')  # it was killed in the middle of a line
    run_over(rows, work, out, {"a": 1})
    assert worked == [0, 1, 2, 3, 3, 4, 5]
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"text": str(i), "length": i} for i in range(6)
    ]
    assert not part.exists()


def test_other_settings_begin_anew(tmp_path):
    out = tmp_path / "out.csv"

    def fail(index):
        if index:
            raise KeyboardInterrupt
        return {"x": 0}

    with pytest.raises(KeyboardInterrupt):
        run_over(ROWS, fail, out, {"a": 1})
    seen = []
    run_over(ROWS, lambda index: seen.append(index) or {"x": index}, out, {"a": 2})
    assert seen == [0, 1]
