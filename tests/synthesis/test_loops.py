"""Refine and reconstruct against a real server."""

import json

import pytest
from typer.testing import CliRunner

from underdog.cli import app
from underdog.generate.open import open_model
from underdog.synthesis.asking import Budget, Cache, Teacher
from underdog.synthesis.items import read_items
from underdog.synthesis.reconstruct import Reconstructor, leaks, reconstructed_row
from underdog.synthesis.refine import Refiner, refined_row
from underdog.tokens.conversation_files import read_conversations


@pytest.fixture
def problems(tmp_path):
    path = tmp_path / "problems.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"{n} + 1 - {n}?", "answer": a}) for n, a in ((1, "7"), (2, "8"))))
    return path


@pytest.fixture
def conversations(tmp_path):
    path = tmp_path / "talk.jsonl"
    rows = [{"prompt": f"Say {n}.", "completion": f"It is {n}."} for n in range(2)]
    path.write_text("\n".join(map(json.dumps, [*rows, {"prompt": "?"}])))
    return path


def test_every_step_of_a_refinement_is_in_its_record(teacher, conversations):
    items, aside = read_items(conversations)
    assert len(items) == 2 and len(aside) == 1
    one = teacher()
    refiner = Refiner([one], [one, one], enough=11.0, rounds=2, max_new_tokens=1500, words=30)
    record = refiner.refine(items[0])
    assert record["ended"] == "rounds", record
    assert 1 <= len(record["checklist"]) <= 8
    assert [(draft["by"], draft["text"]) for draft in record["drafts"]] == [("given", "It is 0."), (one.name, "7")]
    assert all(len(draft["scores"]) == 2 for draft in record["drafts"])
    assert len(record["rounds"]) == 2
    best = max(record["drafts"], key=lambda draft: draft["score"])
    for step in record["rounds"]:
        assert step["kept"] == (step["score"] > best["score"])
        best = step if step["kept"] else best
    assert (record["final"], record["score"]) == (best["text"], best["score"])
    assert refined_row(items[0], record)["messages"][-1] == {"role": "assistant", "content": record["final"]}
    before = one.budget.used_out
    assert refiner.refine(items[0]) == record and one.budget.used_out == before


def test_it_stops_once_the_score_is_enough(teacher, conversations):
    one = teacher()
    record = Refiner([one], [one], enough=0.0, max_new_tokens=1500, words=30).refine(read_items(conversations)[0][0])
    assert record["ended"] == "score" and record["rounds"] == []


def test_a_teacher_that_fails_is_left_out_and_named(teacher, conversations, failing, tmp_path):
    (item, _), _ = read_items(conversations)
    with failing(500, '{"error": {"message": "overloaded"}}') as (url, _):
        broken = Teacher(open_model(url), Cache(tmp_path / "b.sqlite"), Budget(), retries=0)
        record = Refiner([teacher(), broken], [teacher()], enough=0.0, max_new_tokens=1500, words=30).refine(item)
        assert record["ended"] == "score"
        assert "overloaded" in record["drafts"][0]["failed"]
        failed = Refiner([teacher()], [broken]).refine(item)
    assert failed["ended"] == "failed" and "overloaded" in failed["reason"] and refined_row(item, failed) is None


def test_a_chain_is_kept_only_if_it_leads_to_the_answer(teacher, problems):
    items, _ = read_items(problems)
    one = teacher()
    right, wrong = (Reconstructor(one, one).reconstruct(item) for item in items)
    assert (right["ended"], right["summary"], right["chain"]) == ("kept", "7", "7")
    assert wrong["ended"] == "leads elsewhere" and wrong["led_to"].startswith("7")
    said = reconstructed_row(items[0], right)["messages"]
    assert said[-1] == {"role": "assistant", "content": "7", "reasoning_content": "7"}
    assert reconstructed_row(items[1], wrong) is None


def test_without_a_verifier_a_judge_says_whether_it_leads_there(teacher, conversations):
    items, _ = read_items(conversations)
    record = Reconstructor(teacher(), teacher(), summarise=False).reconstruct(items[0])
    assert record["ended"] in ("kept", "leads elsewhere") and record["led_to"] == "7" and "summary" not in record


@pytest.mark.parametrize(
    ("chain", "answer", "leak"),
    [
        ("First I add. The given solution is 12, so it holds.", "12", 'says "given solution"'),
        ("We match the answer by adding.", "12", "says"),
        ("12 it is. " + "Adding and adding, on and on. " * 5, "12", "stands at its beginning"),
        ("Adding and adding, on and on. " * 5 + "So it is 12.", "12", None),
        ("We were given two numbers and find an answer: 12" + " and so on" * 20, "12", None),
    ],
)
def test_what_gives_a_chain_away(chain, answer, leak):
    found = leaks(chain, answer)
    assert found is None if leak is None else leak in found


def test_the_commands(served, problems, conversations, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(app, ["data", *map(str, arguments)])

    out = tmp_path / "chains"
    done = run("reconstruct", problems, "--teacher", served, "--out", out)
    assert done.exit_code == 0, done.output
    assert "1 kept" in done.output and "1 leads elsewhere" in done.output
    (made,), _ = read_conversations(out / "rows.jsonl")
    assert made.messages[-1].reasoning == "7"
    shown = run("show", out, "--refinement")
    assert "summary:" in shown.output and "leads elsewhere" in shown.output

    out = tmp_path / "refined"
    ask = ("refine", conversations, "--teacher", served, "--out", out, "--max-tokens", 1500, "--words", 30)
    stopped = run(*ask, "--budget-tokens", 1)
    assert stopped.exit_code == 1 and "budget is used up" in str(stopped.exception)
    done = run(*ask)
    assert done.exit_code == 0, done.output
    assert len((out / "rows.jsonl").read_text().splitlines()) == 2 and "talk.jsonl line 3" in done.output
    again = run(*ask, "--budget-tokens", 1)
    assert again.exit_code == 0, "all is cached: nothing is asked"
    assert "checklist:" in run("show", out, "--refinement").output

    chains = tmp_path / "chains.jsonl"
    assert run("chains", tmp_path / "chains" / "rows.jsonl", "--out", chains).exit_code == 0
    (chain, leads), _ = read_conversations(chains)
    assert chain.messages[-1].content == "7" and "Final answer:\n7" in chain.messages[0].content
    assert leads.messages[-1].content == "7" and "Reasoning:\n7" in leads.messages[0].content
