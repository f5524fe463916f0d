"""The command line as a user types it: what helps, and what a mistake ends in."""

import json
import os
import shutil
import socket
import subprocess
import sys
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
    """Exit code 2, every expected word, and no traceback."""
    done = underdog(*arguments, cwd=cwd)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    for words in says:
        assert words in said, said


@pytest.mark.parametrize("verb", [[], ["run"], ["ablate"], ["chat"], ["serve"], ["card"], ["runs"], ["runs", "show"]])
def test_every_verb_has_help(verb):
    done = underdog(*verb, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 4


def test_dry_run_prints_settings_with_their_origin():
    done = underdog("run", "recipes/demo.toml", "--dry-run", "--set", "sft.steps=7")
    assert done.returncode == 0
    steps = next(line for line in done.stdout.splitlines() if line.startswith("sft.steps"))
    assert steps.split()[1:] == ["7", "--set"]
    assert "recipes/demo.toml line" in done.stdout and "default" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], ["run"]),
        (["run", "--dry-rnu"], ["--dry-run"]),
        (["run", "recipes/demo.toml", "--set", "reinfroce.kl=0"], ["reinfroce", '"reinforce"']),
        (["run", "recipes/demo.toml", "--set", "sft.stpes=1"], ["sft.stpes", "steps"]),
        (["run", "recipes/demo.toml", "--set", "sft.steps=many"], ["sft.steps", "integer", "many"]),
        (["run", "recipes/demo.toml", "--set", "sft.steps"], ["section.key=value"]),
        (["run", "recipes/dmeo.toml"], ["dmeo.toml", "demo.toml"]),
        (["run", "recipes/demo.toml", "--until", "stf"], ["stf", "sft"]),
        (["ablate", "recipes/demo.toml", "--switch", "fgwsd"], ["fgwsd", "fg_wsd"]),
        (["chat", "runs/none"], ["runs/none"]),
        (["runs", "show", "runs/none"], ["runs/none", "run.json"]),
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
    finished = list((tmp_path / "runs" / "store").glob("problems-*/manifest.json"))
    assert finished, "what was made before the error is kept"


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
    refused("chat", str(tmp_path), "hello", says=[str(tmp_path), "not exported by Underdog"])


def test_a_busy_port_is_named(tiny_folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused("serve", str(tiny_folder), "--port", str(port), says=[str(port)])


def test_a_full_disk_ends_cleanly(tmp_path):
    """A file system of 300 KiB in a mount namespace of our own; the run says that it is full and keeps its draft."""
    script = (
        f"mount -t tmpfs -o size=300k tmpfs {tmp_path} && "
        f"{UNDERDOG} run {MICRO} --runs {tmp_path}/runs --until problems --set problems.train=3000"
    )
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    if "unshare" in said or "mount:" in said:
        pytest.skip("this machine allows no mount namespace")
    assert done.returncode == 2, said
    assert "full" in said and "Traceback" not in said


def test_chat_answers_one_question(tiny_folder):
    done = underdog("chat", str(tiny_folder), "hello", "--max-tokens", "4", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
