"""Refining and reconstructing inside a recipe, with this project's own server as the teacher behind HTTP."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
import zlib
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from underdog.artifacts.store import load
from underdog.cli import app
from underdog.errors import UserError
from underdog.recipe.load import load_recipe
from underdog.stages.ablate import ablate
from underdog.stages.order import stages
from underdog.stages.pipeline import open_run, run_recipe
from underdog.stages.switches import find_switch
from underdog.tokens.conversation_files import read_conversations
from underdog.verify.problem_files import read_problems


@pytest.fixture
def run(sevens, watcher, root, request):
    """(overrides) -> the recipe run up to SFT's evaluation, or `until`; nobody was asked with its seeds before."""
    fresh = [f"{section}.seed={zlib.crc32(request.node.name.encode())}" for section in ("refine", "reconstruct")]

    def make(*overrides, until="evaluate-sft"):
        return run_recipe(load_recipe(sevens(), [*fresh, *overrides]).recipe, root, watcher, until)

    return make


def rows(artifact):
    return read_conversations(artifact.path / "rows.jsonl")[0]


def asked(address):
    """How often the server was asked for an answer."""
    with urllib.request.urlopen(address.replace("/v1", "/metrics")) as page:
        found = re.findall(r'underdog_requests_total\{path="/v1/chat/completions".*?\} ([\d.]+)', page.read().decode())
    return sum(map(float, found))


def test_sft_learns_answers_with_the_reasoning_that_a_teacher_wrote(run, served, watcher):
    made = run(f"reconstruct.teacher={served}").artifacts
    assert watcher.stages == ["problems", "base", "evaluate-base", "reconstruct", "sft", "evaluate-sft"]
    assert made["sft"].manifest["parents"]["reconstruct"] == made["reconstruct"].path.name
    eights = sum("8" in problem.data["answer"] for problem in read_problems(made["problems"].path / "train.jsonl"))
    m = made["reconstruct"].metrics
    assert 0 < eights < 8
    assert (m["ended"], m["failed"]) == ({"kept": 8 - eights, "leads elsewhere": eights}, {})
    assert (m["rows"], m["taught"]) == (8, 8 - eights) and made["sft"].metrics["rows"] == {"train": 8 - eights}
    assert m["asked"] == {served: {"asked": 24}} and m["tokens_written"] >= 24
    assert {one.messages[-1].reasoning for one in rows(made["reconstruct"])} == {"7"}
    before = asked(served)
    again = run(f"reconstruct.teacher={served}", "seed=2", "reconstruct.failures=0.0", until="reconstruct")
    assert again.artifacts["reconstruct"] == made["reconstruct"] and asked(served) == before
    run(f"reconstruct.teacher={served}", "reconstruct.rows=5", until="reconstruct")
    assert asked(served) == before, "another artifact, the same questions: none is paid for twice"


def test_a_model_of_our_own_completes_chains(run, watcher):
    made = run("reconstruct.teacher=own").artifacts
    assert watcher.stages[3:] == ["chains", "chain-model", "reconstruct", "sft", "evaluate-sft"]
    asks, leads = rows(made["chains"])[:2]
    assert "Final answer:\n" in asks.messages[0].content and asks.messages[-1].content == "7"
    assert "Reasoning:\n7" in leads.messages[0].content
    assert (made["chain-model"].path / "model.safetensors").exists()
    assert made["chain-model"].metrics["steps"] == 2 and made["chain-model"].metrics["demonstrations"] == 16
    assert list(made["reconstruct"].metrics["asked"]) == ["own"]
    assert made["reconstruct"].metrics["ended"]["kept"] >= 1
    assert rows(made["reconstruct"])[0].messages[-1].reasoning == "7"


def test_refined_rows_are_what_is_reconstructed(run, served, watcher, seven, tmp_path):
    """A model of the run drafts, one behind HTTP judges; what a verifier refuses stays as it was."""
    talk = tmp_path / "talk.jsonl"
    talk.write_text("\n".join(json.dumps({"prompt": f"Say {n}.", "completion": f"It is {n}."}) for n in range(3)))
    on = ['refine.teachers=["base"]', f'refine.evaluators=["{served}"]', f"reconstruct.teacher={seven}"]
    made = run(*on, f'sft.data=["{talk}", "train"]', 'reconstruct.domains=["train"]', "refine.rows=5").artifacts
    assert watcher.stages[3:] == ["refine", "reconstruct", "sft", "evaluate-sft"]
    m = made["refine"].metrics
    failed = m["ended"].get("failed", 0)  # of so small a model
    assert sum(m["ended"].values()) == 5 and sum(m["failed"].values()) == failed < 5
    assert (m["rows"], m["taught"]) == (11, 11 - failed)
    assert 0 <= m["score"]["given"] <= m["score"]["final"] <= 10 and 0 <= m["rounds"] <= 1
    answers = {one.id: one.data["answer"] for one in read_problems(made["problems"].path / "train.jsonl")}
    for one in rows(made["refine"]):
        last = one.messages[-1].content
        assert last == answers[one.problem] if one.problem else last == "7" or last.startswith("It is")
        assert one.domain == ("train" if one.problem else "talk")
    assert made["reconstruct"].manifest["parents"].keys() == {"problems", "refine"}
    talked = [[one for one in rows(made[stage]) if one.domain == "talk"] for stage in ("refine", "reconstruct")]
    assert [one.messages for one in talked[0]] == [one.messages for one in talked[1]] != []
    assert set(made["sft"].metrics["rows"]) == {"train", "talk"}


@pytest.fixture
def impatient(monkeypatch):
    """No pauses before a server is asked again."""
    monkeypatch.setattr("underdog.synthesis.asking.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ((500, '{"error": {"message": "overloaded"}}'), r"8 no answer from the server\).*overloaded"),
        ((200, "", 0.5), r"8 timed out\)"),
        ((200, "I'm sorry, but no."), r"8 refused\)"),
        ((200, "What a question."), r"8 malformed JSON\).*no JSON object"),
    ],
)
def test_teachers_that_fail_are_named_and_counted(run, failing, saying, impatient, fails, why):
    status, body, *silent = fails
    body = saying(body) if body.endswith(".") else body
    with failing(status, body, *silent) as (url, _), pytest.raises(UserError, match=why):
        run(f'refine.teachers=["{url}"]', "refine.failures=0.99", "refine.timeout=0.1" if silent else "refine.seed=2")


def test_a_share_of_failures_is_allowed_and_all_rows_gone_is_not(run, failing, saying):
    with failing(200, saying("I'm sorry.")) as (url, _):
        with pytest.raises(UserError, match="No row is left to learn from: 8 failed"):
            run(f"reconstruct.teacher={url}", "reconstruct.failures=1.0")
        with pytest.raises(UserError, match=r"Teachers failed on 3 of 3 rows \(3 refused\)") as error:
            run(f"reconstruct.teacher={url}", "reconstruct.failures=0.25")
    assert "goes on" in error.value.hint


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (['sft.data=["demonstrations"]'], "None of 8 rows ends in an answer without reasoning"),
        (['reconstruct.domains=["trian"]'], 'No row is of the domain "trian"'),
        (["reconstruct.teacher=nowhere/at-all"], "There is no model nowhere/at-all"),
        (["reconstruct.teacher=own", 'reconstruct.own.data=["train"]'], "None of 8 answers has its reasoning"),
        (["reconstruct.teacher=http://127.0.0.1:9/v1"], "does not answer"),
    ],
)
def test_what_cannot_be_done_is_said(run, seven, overrides, why):
    with pytest.raises(UserError, match=why):
        run(f"reconstruct.teacher={seven}", *overrides)


def test_what_it_is_worth_is_an_ablation(sevens, seven, watcher, root):
    resolved = load_recipe(sevens(), [f"reconstruct.teacher={seven}"])
    result = ablate(resolved, find_switch("reconstruct"), 1, root, watcher)
    assert [one.name for one in result.differences][:2] == ["pass@1 sampled", "pass@1 greedy"]
    assert [list(open_run(folder).artifacts)[-3:] for folder in result.runs] == [
        ["evaluate-base", "sft", "evaluate-sft"],
        ["reconstruct", "sft", "evaluate-sft"],
    ]
    with pytest.raises(UserError, match='"refine" makes no difference'):
        ablate(resolved, find_switch("refine"), 1, root, watcher)


def test_keys_hold_what_shapes_the_rows_and_nothing_else(sevens, seven):
    def settings(*overrides):
        made = {one.name: one.settings for one in stages(load_recipe(sevens(), overrides).recipe)}
        return made.get("refine"), made.get("reconstruct"), made.get("chain-model")

    on = [f'refine.teachers=["{seven}"]', f"reconstruct.teacher={seven}"]
    same = settings(*on)
    for free in ("refine.budget.tokens=5", "refine.failures=0.5", "reconstruct.timeout=5.0", "seed=7", "sft.steps=3"):
        assert settings(*on, free) == same, free
    for shaping in ("refine.rounds=0", "refine.seed=2", 'sft.data=["demonstrations"]', "refine.enough=9.0"):
        assert settings(*on, shaping)[0] != same[0], shaping
    own = settings("reconstruct.teacher=own")
    assert settings("reconstruct.teacher=own", "sft.steps=9") == own
    assert settings("reconstruct.teacher=own", "reconstruct.own.steps=9")[2] != own[2]


def replies(root):
    path = root / "store/.kept/replies.sqlite"
    try:
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute("SELECT count(*) FROM replies").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


DIES = """
import os, signal
from underdog.cli import main
from underdog.synthesis.replies import Cache

left, put = 20, Cache.put

def put_and_die(*told):
    global left
    put(*told)
    left -= 1
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)

Cache.put = put_and_die
main()
"""


def test_killed_in_the_middle_it_goes_on_and_pays_for_nothing_twice(sevens, served, watcher, tmp_path):
    recipe, on, root = sevens(30), f"reconstruct.teacher={served}", tmp_path / "runs"
    told = ["run", recipe, "--runs", root, "--until", "reconstruct", "--set", on]
    before = asked(served)
    killed = subprocess.run([sys.executable, "-c", DIES, *map(str, told)], check=False)
    assert killed.returncode == -signal.SIGKILL
    had = replies(root)
    assert 20 <= had < 90
    made = run_recipe(load_recipe(recipe, [on]).recipe, root, watcher, "reconstruct").artifacts["reconstruct"]
    counts = made.metrics["asked"][served]
    assert counts["asked"] + counts["cached"] == replies(root) == 90 and counts["cached"] >= had
    assert asked(served) - before <= 90 + 16, "at most what was under way when it was killed"
    assert sum(made.metrics["ended"].values()) == 30 and made.metrics["taught"] == made.metrics["ended"]["kept"]


def test_as_a_user_types_it(sevens, served, tmp_path):
    def typed(*arguments):
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, arguments)])

    recipe, root = sevens(), tmp_path / "runs"
    on = ["--set", f"reconstruct.teacher={served}", "--runs", root]
    told = ["run", recipe, *on, "--until", "evaluate-sft"]
    stopped = typed(*told, "--set", "reconstruct.budget.tokens=300")
    assert isinstance(stopped.exception, UserError) and "budget is used up" in str(stopped.exception)
    paid = replies(root)
    assert 1 <= paid < 24
    done = typed(*told, "--set", "reconstruct.budget.tokens=300000", "--set", "reconstruct.budget.price_out=1e6")
    assert done.exit_code == 0, done.output
    assert re.search(r"reconstruct .*\d leads elsewhere.*; \d rows to learn from; .* of money", done.output), (
        done.output
    )
    (made,) = (load(path) for path in (root / "store").glob("reconstruct-*") if path.suffix != ".partial")
    assert made.metrics["asked"][served]["cached"] >= paid and replies(root) == 24
    assert made.metrics["money"] == made.metrics["tokens_written"]
    folders = sorted((path.parent for path in root.glob("*/run.json")), key=lambda one: len(open_run(one).artifacts))
    folder = folders[-1]
    shown = typed("data", "show", folder, "--refinement", "--count", 30).output
    assert "summary:" in shown and "leads elsewhere" in shown
    assert "[[<think>7</think>7<|im_end|>]]" in typed("data", "show", folder).output
    card = (folder / "card.html").read_text()
    assert "Reconstructed reasoning" in card and "leads elsewhere" in card
    assert "has neither refined nor reconstructed" in str(typed("data", "show", folders[0], "--refinement").exception)
