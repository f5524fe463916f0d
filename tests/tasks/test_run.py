import json

import pytest

pytest.importorskip("sklearn")

from typer.testing import CliRunner

from underdog.cli import app
from underdog.model.weights import save_pretrained


def underdog(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def model(real, tmp_path):
    save_pretrained(real.engine.model, real.chat.tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def table(labelled, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in zip(*labelled(120), strict=True))
    )
    return path


def results(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_is_classified_by_a_model(model, tmp_path):
    (tmp_path / "few.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    done = underdog("classify", tmp_path / "few.jsonl", "--model", model, "--label", "yes: it is", "--label", "no")
    assert done.exit_code == 0, done.output
    found = results(tmp_path / "few.classify.jsonl")
    assert [row["text"] for row in found] == ["a", "b"] and {row["label"] for row in found} <= {"yes", "no"}
    assert all(0.5 <= row["confidence"] <= 1 for row in found)


def test_a_tuned_classifier_takes_the_models_place(table, tmp_path):
    done = underdog("tune", table, "--out", tmp_path / "c")
    assert done.exit_code == 0 and "3 labels, 120 rows" in done.output
    assert json.loads((tmp_path / "c" / "report.json").read_text())["rows"] == 12
    done = underdog("classify", table, "--model", tmp_path / "c", "--out", tmp_path / "out.csv")
    assert done.exit_code == 0 and (tmp_path / "out.csv").read_text().startswith("text,label,confidence\n")


def test_a_form_is_filled_over_a_file(model, tmp_path):
    (tmp_path / "few.jsonl").write_text('{"text": "a"}\n')
    form = {"type": "object", "properties": {"k": {"enum": ["x"]}}, "required": ["k"], "additionalProperties": False}
    (tmp_path / "form.json").write_text(json.dumps(form))
    done = underdog("extract", tmp_path / "few.jsonl", "--model", model, "--form", tmp_path / "form.json")
    assert done.exit_code == 0, done.output
    assert results(tmp_path / "few.extract.jsonl") == [{"text": "a", "extracted": {"k": "x"}, "spans": {"$.k": None}}]
