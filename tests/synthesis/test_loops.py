"""Refine and reconstruct against a real server."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from underdog.cli import app
from underdog.errors import UserError
from underdog.generate.open import open_model
from underdog.synthesis.asking import Teacher
from underdog.synthesis.items import Item, read_items, transcript
from underdog.synthesis.reconstruct import Reconstructor, leaks, reconstructed
from underdog.synthesis.refine import Refiner, refined
from underdog.synthesis.replies import Budget, Cache
from underdog.tokens.conversation_files import read_conversations
from underdog.tokens.formats import as_row, conversation
from underdog.tokens.messages import Message


@pytest.fixture
def problems(tmp_path):
    path = tmp_path / "problems.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"{n} + 1 - {n}?", "answer": a}) for n, a in ((1, "7"), (2, "8"))))
    return path


@pytest.mark.parametrize("row", [{"question": "b"}, {"prompt": "b", "answer": 6}, {"prompt": "b"}, [1]])
def test_a_problem_that_cannot_be_read_is_named(problems, row):
    problems.write_text(problems.read_text() + "\n" + json.dumps(row))
    with pytest.raises(UserError, match="line 3"):
        read_items(problems)


def test_a_published_problem_that_cannot_be_judged_is_set_aside(problems):
    problems.write_text(problems.read_text() + "\n" + json.dumps({"question": "b", "answer": "6"}))
    items, aside = read_items(problems)
    assert len(items) == 2 and aside[0].where == f"{problems} line 3"


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
    assert refined(items[0], record).messages[-1] == Message("assistant", record["final"])
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
    assert (
        (failed["ended"], failed["why"]) == ("failed", "no answer from the server")
        and "overloaded" in failed["reason"]
        and refined(item, failed) is None
    )


def test_a_chain_is_kept_only_if_it_leads_to_the_answer(teacher, problems):
    items, _ = read_items(problems)
    one = teacher()
    right, wrong = (Reconstructor(one, one).reconstruct(item) for item in items)
    assert (right["ended"], right["summary"], right["chain"]) == ("kept", "7", "7")
    assert wrong["ended"] == "leads elsewhere" and wrong["led_to"].startswith("7")
    assert reconstructed(items[0], right).messages[-1] == Message("assistant", "7", "7")
    assert reconstructed(items[1], wrong) is None


class Scripted:
    """Answers with what it was given, one after the other."""

    def __init__(self, *replies):
        self.replies = iter(replies)

    def ask(self, messages, options):
        return next(self.replies)


def test_a_chain_that_states_a_false_equation_is_dropped_and_written_anew(problems):
    item = read_items(problems)[0][0]
    worker = Reconstructor(Scripted("3+3=7", "3+4=7"), Scripted("7"), summarise=False)
    once = worker.reconstruct(item)
    assert (once["ended"], once["reason"], once["attempts"]) == ("false equation", "3+3=7", 1)
    twice = replace(worker, teacher=Scripted("3+3=7", "3+4=7"), attempts=3).reconstruct(item)
    assert (twice["ended"], twice["chain"], twice["attempts"]) == ("kept", "3+4=7", 2)


def test_a_verifier_decides_before_any_evaluator(teacher, problems):
    items, _ = read_items(problems)
    right, wrong = (Refiner([teacher()], [teacher()], max_new_tokens=1500, words=30).refine(item) for item in items)
    assert [one["text"] for one in right["drafts"]] == ["7", "7"]
    assert all(one["scores"][0]["by"] != "verifier number" for one in right["drafts"])
    said = {one["text"]: one["scores"][0] for one in [*wrong["drafts"], *wrong["rounds"]]}
    assert said["7"]["by"] == "verifier number" and said["7"]["score"] == 0
    assert wrong["final"] == "8" and said["8"]["by"] != "verifier number"


def test_an_answer_below_the_least_score_is_left_out(teacher, problems):
    item = read_items(problems)[0][1]
    without = replace(item, conversation=item.answered(""))
    record = Refiner([teacher()], [teacher()], least=1.0, max_new_tokens=1500, words=30).refine(without)
    assert (record["ended"], record["final"], record["score"]) == ("below", "7", 0)
    assert refined(without, record) is None


def test_reasoning_stays_with_the_answer_that_it_led_to(conversations):
    (item, _), _ = read_items(conversations)
    thought = Item(item.answered(item.answer, "so it is"))
    kept, other = (refined(thought, {"ended": "score", "final": text}) for text in (item.answer, "7"))
    assert kept == thought.conversation and other.messages[-1].reasoning is None


def test_a_conversation_with_tools_stays_one(tmp_path):
    """Calls, their results, tools, domain and turns that are not taught go through to the row that SFT reads."""
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    turns = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "", "tool_calls": [call], "weight": 0},
        {"role": "tool", "content": "2", "tool_call_id": "1"},
        {"role": "assistant", "content": "two"},
    ]
    path = tmp_path / "tools.jsonl"
    path.write_text(json.dumps({"messages": turns, "tools": [{"name": "add"}], "domain": "sums", "problem_id": "p"}))
    (item,), _ = read_items(path)
    assert '{"name": "add", "arguments": {"a": 1}}' in transcript(item.messages)
    answered = refined(item, {"ended": "score", "final": "It is 2."})
    assert conversation(as_row(answered), where=answered.where) == answered
    assert answered.messages[:-1] == item.messages and answered.messages[1].trained is False
    assert (answered.tools, answered.domain, answered.problem) == (({"name": "add"},), "sums", "p")


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
        ("Adding and adding, on and on. " * 5 + "So the final answer is 12.", "12", None),
        (
            "By the known result on sums, and from the expected result column, it is " + "1 + 1 + " * 9 + "12",
            "12",
            None,
        ),
        ("Adding and adding, as the given final answer says.", "12", 'says "given final answer"'),
        ("It should come to 12, the expected answer.", "12", 'says "expected answer"'),
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
