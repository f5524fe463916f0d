import json
from datetime import datetime

import pytest

pytest.importorskip("sklearn")

from typer.testing import CliRunner

from underdog.cli import app
from underdog.errors import UserError
from underdog.model.weights import save_pretrained
from underdog.tasks.classify import Classified, deepest
from underdog.tasks.jobs import Extract
from underdog.tasks.normalize.normalizer import Normalizer
from underdog.tasks.run import settings_of


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
    assert done.exit_code == 0 and (tmp_path / "out.csv").read_text().startswith(
        "text,label,classify_label,confidence\n"
    )


def test_a_form_is_filled_over_a_file(model, tmp_path):
    (tmp_path / "few.jsonl").write_text('{"text": "a"}\n')
    form = {"type": "object", "properties": {"k": {"enum": ["x"]}}, "required": ["k"], "additionalProperties": False}
    (tmp_path / "form.json").write_text(json.dumps(form))
    done = underdog("extract", tmp_path / "few.jsonl", "--model", model, "--form", tmp_path / "form.json")
    assert done.exit_code == 0, done.output
    assert results(tmp_path / "few.extract.jsonl") == [{"text": "a", "extracted": {"k": "x"}, "spans": {"$.k": None}}]


def test_held_out_rows_set_what_is_abstained_from_and_routed(table, labelled, tmp_path):
    assert underdog("tune", table, "--out", tmp_path / "c").exit_code == 0
    held = tmp_path / "held.jsonl"
    rows = [*zip(*labelled(200, seed=1), strict=True), *(("something else", "none") for _ in range(20))]
    held.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    few = tmp_path / "few.jsonl"
    few.write_text('{"text": "stolen card"}\n{"text": "what is this"}\n')
    done = underdog("classify", few, "--model", tmp_path / "c", "--held-out", held)
    assert done.exit_code == 0 and "kept 9" in done.output, done.output
    sure, doubtful = results(tmp_path / "few.classify.jsonl")
    assert sure["label"] == "lost" and doubtful["label"] is None and sure["confidence"] > doubtful["confidence"]
    words = ("--to", "lost: cards", "--local-cost", "0.1")
    done = underdog("route", few, "--model", tmp_path / "c", "--held-out", held, "--error", 0.05, *words)
    assert done.exit_code == 0 and "costs 8" in done.output, done.output
    assert [(row["to"], row["label"]) for row in results(tmp_path / "few.route.jsonl")] == [
        ("cards", "lost"),
        ("large", None),
    ]


def test_with_held_out_rows_only_what_they_judged_is_answered(tmp_path, monkeypatch):
    class Shares:
        """Each text is its own probabilities."""

        def classify(self, texts):
            found = map(json.loads, texts)
            return [Classified(deepest(by_label, 0.0), by_label) for by_label in found]

    monkeypatch.setattr("underdog.tasks.run.open_classifier", lambda *model: (Shares(), 1))
    sure, unsure = ({"card/lost": lost, "card/new": 0.95 - lost, "other": 0.05} for lost in (0.94, 0.48))
    rows = [{"text": json.dumps(shares), "label": "card/lost"} for shares in (sure, unsure)] * 100
    for row in rows[1::2]:
        row["label"] = "other"
    held = tmp_path / "held.jsonl"
    held.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = underdog("classify", held, "--model", "x", "--held-out", held)
    assert done.exit_code == 0 and "kept 50.0%" in done.output, done.output
    answers = [row["classify_label"] for row in results(tmp_path / "held.classify.jsonl")]
    assert answers == ["card/lost", None] * 100  # "card" was judged by nobody


def test_columns_are_normalized(tmp_path):
    pytest.importorskip("dateparser")
    (tmp_path / "t.jsonl").write_text('{"when": "завтра", "tel": "8 (912) 345-67-89"}\n{"when": null, "tel": "?"}\n')
    words = ("--column", "when: date", "--column", "tel: phone", "--region", "RU", "--now", "2026-11-22")
    done = underdog("normalize", tmp_path / "t.jsonl", *words)
    assert done.exit_code == 0, done.output
    first, second = results(tmp_path / "t.normalize.jsonl")
    assert (
        first["when_date"] == "2026-11-23" and first["when_date_by"] == "rules" and first["tel_phone"] == "+79123456789"
    )
    assert second["when_date"] is None and second["tel_phone_by"] is None and second["tel_phone_readings"] == []


def test_a_job_that_was_stopped_before_midnight_goes_on_as_of_that_day(tmp_path, monkeypatch):
    pytest.importorskip("dateparser")
    (tmp_path / "t.jsonl").write_text('{"when": "tomorrow"}\n{"when": "today"}\n')
    read, left = Normalizer.__call__, [2]

    def stopped(*asked):
        left[0] -= 1
        if not left[0]:
            raise RuntimeError("the power is gone")
        return read(*asked)

    monkeypatch.setattr(Normalizer, "__call__", stopped)
    words = ("normalize", tmp_path / "t.jsonl", "--column", "when: date")
    monkeypatch.setattr("underdog.jobs_cli._today", lambda: datetime(2026, 11, 22))
    with pytest.raises(RuntimeError):
        underdog(*words)
    monkeypatch.setattr("underdog.jobs_cli._today", lambda: datetime(2026, 11, 23))
    assert underdog(*words).exit_code == 0 and left == [-1]  # one row more
    dates = [row["when_date"] for row in results(tmp_path / "t.normalize.jsonl")]
    assert dates == ["2026-11-23", "2026-11-22"]


SCRIPT = """
flows:
  go: {about: order, slots: {city: {kind: text, ask: Where}}, done: Gone}
"""


def test_dialogues_of_a_file(model, tmp_path):
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": "to Rome\nyes"}) + "\n")
    done = underdog("dialog", tmp_path / "s.yaml", "--model", model, "--file", tmp_path / "t.jsonl")
    assert done.exit_code == 0, done.output
    (row,) = results(tmp_path / "t.dialog.jsonl")
    assert 1 <= len(row["turns"]) <= 2 and all(turn["say"] and turn["commands"] for turn in row["turns"][:1])
    assert row["state"]["expects"] in ("flow", "city", "person")


def test_a_dialogue_in_the_terminal(model, tmp_path):
    (tmp_path / "s.yaml").write_text(SCRIPT)
    words = ["dialog", str(tmp_path / "s.yaml"), "--model", str(model)]
    done = CliRunner().invoke(app, words, input="to Rome\n", catch_exceptions=False)
    assert done.exit_code == 0 and done.output.startswith("Hello.\nWhat can I do for you?\n> ")


FORM = """
from pydantic import BaseModel

class Order(BaseModel):
    city: bool
"""


def test_a_form_may_be_a_pydantic_model(model, tmp_path):
    (tmp_path / "few.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "form.py").write_text(FORM)
    done = underdog("extract", tmp_path / "few.jsonl", "--model", model, "--form", f"{tmp_path / 'form.py'}:Order")
    assert done.exit_code == 0 and results(tmp_path / "few.extract.jsonl")[0]["extracted"]["city"] in (True, False)


def test_another_form_or_model_under_the_same_name_begins_anew(tmp_path):
    form, model = tmp_path / "form.py", tmp_path / "c"
    (model / "model").mkdir(parents=True)
    (model / "model" / "classifier.json").write_text("{}")
    job = Extract("text", str(model), f"{form}:Order")
    form.write_text(FORM)
    before = settings_of(job)
    assert settings_of(job) == before
    form.write_text(FORM.replace("city", "town"))
    assert settings_of(job) != before
    form.write_text(FORM)
    (model / "model" / "classifier.json").write_text('{"labels": []}')
    assert settings_of(job) != before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("classify", "t.csv", "--model", "x", "--label", "a", "--label", "a: b"), '"a" is said twice'),
        (("normalize", "t.csv", "--column", "text: dat"), 'no kind "dat"'),
        (("normalize", "t.csv", "--column", "txt: date"), 'no column "txt"'),
        (("extract", "t.csv", "--model", "x", "--form", "no.json"), "no.json is missing"),
        (("classify", "t.csv", "--model", "x", "--label", "a", "--out", "t.csv"), "is the table itself"),
        (("classify", "t.csv", "--model", "x", "--error", "0.1"), "--error has no effect"),
        (("classify", "t.csv", "--model", "x", "--abstain", "0.1", "--held-out", "t.csv"), "give one of them"),
        (("normalize", "t.csv", "--column", "text: date", "--tone", "formal"), "--tone has no effect"),
        (("normalize", "none.csv", "--column", "text: date"), "none.csv has no rows"),
    ],
)
def test_what_is_wrong_is_told(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("text\na\n")
    (tmp_path / "none.csv").write_text("text\n")
    with pytest.raises(UserError, match=said):
        underdog(*words)
    assert (tmp_path / "t.csv").read_text() == "text\na\n" and [*tmp_path.glob("*.part")] in (
        [],
        [tmp_path / "t.extract.csv.part"],
    )


def test_a_threshold_that_keeps_nothing_is_null_and_settings_of_no_model_are_refused(table, tmp_path):
    done = underdog("tune", table, "--out", tmp_path / "c", "--error", 0.05)
    assert done.exit_code == 0 and "no threshold keeps errors" in done.output  # twelve rows prove nothing
    report = (tmp_path / "c" / "report.json").read_text()
    assert json.loads(report)["threshold"]["value"] is None and "Infinity" not in report
    with pytest.raises(UserError, match="there is none"):
        underdog("tune", table, "--out", tmp_path / "d", "--lr", 1e-2)


def test_a_tuned_model_is_judged_beside_the_floor_and_served_if_it_wins(model, table, tmp_path):
    done = underdog("tune", table, "--out", tmp_path / "c", "--model", model, "--epochs", 3, "--lr", 1e-2)
    assert done.exit_code == 0, done.output
    assert "the base in" in done.output and "the speed of float32 here" in done.output
    report = json.loads((tmp_path / "c" / "report.json").read_text())
    best = "model" if report["model"]["accuracy"] > report["floor"]["accuracy"] else "floor"
    assert report["served"] == best and f"The {best} wins" in done.output and "CPU minutes" in done.output
    assert sum(sum(row.values()) for row in report["model"]["confusion"].values()) == report["model"]["rows"] == 12
    for served in (tmp_path / "c", tmp_path / "c" / "model"):
        done = underdog("classify", table, "--model", served, "--out", tmp_path / "out.jsonl")
        assert done.exit_code == 0, done.output
        assert {row["classify_label"] for row in results(tmp_path / "out.jsonl")} <= {"refund", "lost", "new"}
        (tmp_path / "out.jsonl").unlink()
    (tmp_path / "long.jsonl").write_text(json.dumps({"text": "word " * 1100}) + '\n{"text": "refund"}\n')
    done = underdog("classify", tmp_path / "long.jsonl", "--model", tmp_path / "c" / "model")
    long, short = results(tmp_path / "long.classify.jsonl")
    assert "context holds 1,024" in long["error"] and short["label"] and "1 of 2 rows" in done.output
    model.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"was tuned from .*, which is not there"):
        underdog("classify", table, "--model", tmp_path / "c" / "model")


@pytest.mark.parametrize(
    ("asked", "speed", "held"), [(None, 4.0, "bf16"), (None, 0.3, "float32"), ("bf16", 0.3, "bf16")]
)
def test_the_base_is_held_in_what_is_faster_here_or_in_what_is_asked(monkeypatch, asked, speed, held):
    from underdog.stages import tune

    monkeypatch.setattr(tune, "speed", lambda precision: speed)
    said = []
    assert tune.small_adapter(asked, said.append).precision == held
    assert [line.split(":")[0] for line in said] == ([] if asked else [f"the base in {held}"])


def test_a_tagger_is_fitted_and_used(tmp_path):
    pytest.importorskip("pycrfsuite")
    rows = [
        {
            "text": f"{who} flies to {city}",
            "entities": [{"start": len(who) + 10, "end": len(who) + 10 + len(city), "type": "city"}],
        }
        for who in ("Anna", "Bo", "Carla")
        for city in ("Rome", "Oslo", "New York", "Paris")
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = underdog("tag", tmp_path / "t.jsonl", "--out", tmp_path / "names")
    assert done.exit_code == 0 and "F1 100.0%" in done.output
    (tmp_path / "few.jsonl").write_text('{"text": "Dana flies to Lima"}\n')
    assert underdog("entities", tmp_path / "few.jsonl", "--model", tmp_path / "names").exit_code == 0
    (found,) = results(tmp_path / "few.entities.jsonl")[0]["entities"]
    assert found == {"start": 14, "end": 18, "type": "city", "text": "Lima"}
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "entities": [{"start": 0, "end": 9, "type": "x"}]}\n')
    with pytest.raises(UserError, match="row 1: a span goes from 0 to 9"):
        underdog("tag", tmp_path / "bad.jsonl", "--out", tmp_path / "x")
