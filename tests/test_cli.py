"""The command line as a user types it: what helps, and what a mistake ends in."""

import importlib.metadata
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from underdog.model.weights import save_pretrained

UNDERDOG = str(Path(sys.executable).with_name("underdog"))
REPO = Path(__file__).parent.parent
MICRO = str(Path(__file__).parent / "recipes" / "micro.toml")


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory, tiny, tokenizer):
    """A checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    save_pretrained(tiny(vocabulary=tokenizer.vocabulary), tokenizer, folder)
    return folder


def underdog(*arguments: str, cwd: Path = REPO) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run([UNDERDOG, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def refused(*arguments: str, says: list[str], cwd: Path = REPO) -> None:
    """Exit code 2, every expected word in a line or two at the end, and no traceback."""
    done = underdog(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    _, _, message = done.stderr.rpartition("error:" if "error:" in done.stderr else "Error:")
    assert 1 <= len(message.strip().splitlines()) <= 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for words in says:
        assert words in message, done.stderr


@pytest.mark.parametrize(
    "verb",
    [[], ["run"], ["plan"], ["ablate"], ["chat"], ["serve"], ["card"], ["doctor"], ["runs"], ["runs", "show"]]
    + [["data", "show"], ["merge"]],
)
def test_every_verb_has_help(verb):
    done = underdog(*verb, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 4


def test_the_version_is_that_of_the_package():
    assert underdog("--version").stdout.split() == ["underdog", importlib.metadata.version("underdog")]


@pytest.mark.parametrize("group", [[], ["runs"], ["data"], ["curate"]])
def test_lists_of_verbs_are_whole(group):
    """Every verb has a line, and none is cut at the width of a terminal."""
    env = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run([UNDERDOG, *group, "--help"], env=env, capture_output=True, text=True, check=True)
    assert "..." not in done.stdout.partition("Commands:")[2]


def test_switches_are_listed():
    done = underdog("ablate", "recipes/demo.toml")
    assert done.returncode == 0 and "reinforce_over_sft" in done.stdout and "section.key=value" in done.stdout


def test_dry_run_prints_settings_with_their_origin():
    done = underdog("run", "recipes/demo.toml", "--dry-run", "--set", "sft.steps=7")
    assert done.returncode == 0
    steps = next(line for line in done.stdout.splitlines() if line.startswith("sft.steps"))
    assert steps.split()[1:] == ["7", "--set"]
    assert "recipes/demo.toml line" in done.stdout and "default" in done.stdout


def test_plan_shows_what_pretraining_would_do():
    done = underdog("plan", "recipes/nanbeige4-3b.toml")
    assert done.returncode == 0, done.stderr
    for words in ("3.93 B parameters", "23 T tokens", "diversity", "12.4 T", "65,536", "1-sqrt", "--until tokenize"):
        assert words in done.stdout.replace("\N{NO-BREAK SPACE}", " ")
    scaled = underdog("plan", "recipes/nanbeige4-3b.toml", "--scale", "3e-8")
    assert "690 k tokens" in scaled.stdout.replace("\N{NO-BREAK SPACE}", " ") and not scaled.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], ["run"]),
        (["run", "--dry-rnu"], ["--dry-run"]),
        (["run", "recipes/demo.toml", "--set", "reinfroce.kl=0"], ["reinfroce", '"reinforce"']),
        (["run", "recipes/demo.toml", "--set", "sft.stpes=1"], ["sft.stpes", "steps"]),
        (["run", "recipes/demo.toml", "--set", "sft.steps=many"], ["sft.steps", "integer", "many"]),
        (["run", "recipes/demo.toml", "--set", "sft.steps"], ["section.key=value"]),
        (["run", "recipes/dmeo.toml"], ["dmeo.toml", "Did you mean recipes/demo.toml?"]),
        (["run", "recipes/demo.toml", "--until", "stf"], ["stf", "sft"]),
        (["ablate", "recipes/demo.toml", "--switch", "fgwsd"], ["fgwsd", "fg_wsd"]),
        (["run", "recipes/demo.toml", "--set", "base=runs/none"], ["base: runs/none", "config.json"]),
        (["curate", "recipes/demo.toml", "--text", "artcles"], ["curate.sources", "artcles", "python-docs"]),
        (["curate", "explian", "7fc81246"], ["explian", "explain"]),
        (["curate", "recipes/demo.toml", "--on", "moon"], ["--on", "moon", "ray"]),
        (["chat", "runs/none"], ["no folder runs/none"]),
        (["chat", "none.gguf"], ["no file none.gguf"]),
        (["runs", "show", "runs/none"], ["runs/none", "run.json", "underdog runs list"]),
        (["run", "recipes/demo.toml", "--scale", "inf"], ["scale of inf"]),
        (["run", "recipes/demo.toml", "--set", "name=a/b"], ["name", "a/b", "folder"]),
        (["run", "recipes/demo.toml", "--set", "pretrain.phase.9.lr=1"], ["pretrain.phase.9.lr", "9"]),
        (["ablate", "recipes/demo.toml", "--switch", "kl", "--set", "reinforce.steps=0"], ["evaluate-reinforce"]),
        (["ablate", "recipes/demo.toml", "--switch", "kl", "--until", "evalute-sft"], ["evalute-sft", "evaluate-sft"]),
        (["plan", "recipes/demo.toml", "--set", "pretrain.phase.1.mix={ tpo = 1.0 }"], ["diversity", "tpo", '"top"']),
        (["run", "recipes/demo.toml", "--set", "pretrain.phase.3.mix={ rest = 1.0 }"], ["decay", "rest"]),
        (["plan", "recipes/demo.toml", "--set", "curate.keep={ high = 0.5 }"], ["warm-up", "medium", "curate.keep"]),
        (["plan", "recipes/demo.toml", "--set", "pretrain.batch_tokens=1000"], ["warm-up", "256", "1000"]),
    ],
)
def test_mistyped(arguments, says):
    refused(*arguments, says=says)


def test_broken_recipes_name_file_and_line(tmp_path):
    recipe = tmp_path / "broken.toml"
    recipe.write_text('name = "x"\n[sft\nsteps = 3\n')
    refused("run", str(recipe), says=["broken.toml", "TOML", "line 2"])
    recipe.write_text('name = "x"\n\n[sft]\nstep = 3\n')
    refused("run", str(recipe), says=["broken.toml line 4", "sft.step", "steps"])
    recipe.write_text('[sft]\nsteps = "three"\n')
    refused("run", str(recipe), says=["broken.toml line 2", "sft.steps", "three"])


def test_empty_corpus_and_bad_problem_files(tmp_path):
    (tmp_path / "empty").mkdir()
    common = ("run", MICRO, "--runs", str(tmp_path / "runs"))
    refused(*common, "--text", str(tmp_path / "empty"), says=[str(tmp_path / "empty")])
    refused(*common, "--text", str(tmp_path / "missing"), says=[str(tmp_path / "missing")])
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "1+1", "answer": "2"}\n{"prompt": "1+2"}\n')
    refused(*common, "--problems", str(bad), says=["bad.jsonl line 2", "answer"])
    bad.write_text("not json\n")
    refused(*common, "--problems", str(bad), says=["bad.jsonl line 1"])
    refused(*common, "--problems", str(tmp_path), says=[str(tmp_path), "directory"])
    assert not list((tmp_path / "runs").glob("store/*/manifest.json")), "refused before anything is made"


def test_a_damaged_artifact_is_named_and_can_be_made_again(tmp_path):
    common = ("run", MICRO, "--runs", str(tmp_path), "--until", "problems")
    assert underdog(*common).returncode == 0
    (folder,) = (tmp_path / "store").glob("problems-*")
    with (folder / "test.jsonl").open("a") as file:
        file.write("\n")
    refused(*common, says=[folder.name, "test.jsonl", "Remove the folder"])
    shutil.rmtree(folder)
    assert underdog(*common).returncode == 0


def test_a_foreign_checkpoint_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    refused("chat", str(tmp_path), "hello", says=[str(tmp_path), "has no tokenizer.json"])


def test_a_busy_port_is_named(tiny_folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused("serve", str(tiny_folder), "--port", str(port), says=[str(port)])


def test_runs_need_a_folder(tmp_path):
    (tmp_path / "file").touch()
    refused("run", MICRO, "--runs", str(tmp_path / "file"), says=[str(tmp_path / "file"), "not a directory", "--runs"])


ON_A_SMALL_DISK = """
run() { UNDERDOG_SAVE_SECONDS=0 $UNDERDOG run $MICRO --runs $DISK/runs --text $TEXTS --until pretrain \\
    --set threads=1 --set pretrain.tokens=20_000; }
run; echo "exit $?"
ls $DISK/runs/store
mount -o remount,size=20m $DISK
run; echo "exit $?"
"""
SENTENCE = "a model reads text because every step follows the one before"


def test_a_full_disk_loses_nothing(small_disk, tmp_path, monkeypatch):
    """The disk fills while pretraining; with more room the same command goes on."""
    texts = tmp_path / "texts"
    for name, value in {"UNDERDOG": UNDERDOG, "MICRO": MICRO, "TEXTS": texts, "OMP_NUM_THREADS": 1}.items():
        monkeypatch.setenv(name, str(value))
    texts.mkdir()
    for number in range(200):
        words = random.Random(number).choices(SENTENCE.split(), k=80)
        (texts / f"{number}.txt").write_text(" ".join(words).capitalize() + ".")
    done = small_disk(["sh", "-c", ON_A_SMALL_DISK], size="1200k")
    _, failed, then = done.stdout.partition("exit 2")
    assert failed, done.stdout + done.stderr
    assert done.stderr.startswith(f"error: The disk that holds {small_disk.folder}/runs/store is full."), done.stderr
    assert "Traceback" not in done.stderr
    assert "tokenize-" in then and "pretrain-" in then and ".partial" in then
    assert then.count("there already") == 3 and then.endswith("exit 0\n"), then


def test_ctrl_c_says_how_to_go_on(tmp_path):
    command = [UNDERDOG, "run", MICRO, "--runs", str(tmp_path), "--until", "problems", "--set", "problems.train=99_000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("store/problems-*.partial")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == "Stopped. The same command goes on from here."


def test_chat_answers_one_question(tiny_folder):
    done = underdog("chat", str(tiny_folder), "hello", "--max-tokens", "4", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
