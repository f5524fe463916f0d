"""`underdog run --nproc 2`, as a user types it: torchrun, two processes, the run that one process makes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

UNDERDOG = str(Path(sys.executable).with_name("underdog"))
MICRO = str(Path(__file__).parent / "recipes" / "micro.toml")
SETTINGS = {"threads": 2, "curate.near_duplicates": 0.0, "pretrain.tokens": 20_000, "sft.steps": 6}


@pytest.fixture(scope="module")
def texts(plain_texts):
    return plain_texts(files=300, sentences=12)


def start(texts: Path, root: Path, *more: str) -> subprocess.Popen:
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    command = [UNDERDOG, "run", MICRO, "--runs", str(root), "--text", str(texts), *settings, *more]
    env = {**os.environ, "UNDERDOG_SAVE_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=env, start_new_session=True, **pipes)


def finish(process: subprocess.Popen) -> str:
    said, complaints = process.communicate(timeout=500)
    assert process.returncode == 0, said + complaints
    return said


@pytest.fixture(scope="module")
def one(texts, tmp_path_factory):
    """The run that one process makes."""
    root = tmp_path_factory.mktemp("one")
    finish(start(texts, root, "--until", "sft"))
    return root


@pytest.fixture(scope="module")
def two(texts, one, tmp_path_factory):
    """The run that two make from the same text, and what they said."""
    root = begun(one, tmp_path_factory.mktemp("two"))
    return root, finish(start(texts, root, "--until", "sft", "--nproc", "2"))


def begun(one: Path, root: Path) -> Path:
    """A root that holds that run's artifacts up to the tokenizer."""
    (root / "store").mkdir()
    for stage in ("problems", "curate", "tokenize"):
        (folder,) = (one / "store").glob(f"{stage}-*")
        shutil.copytree(folder, root / "store" / folder.name)
    return root


def losses(root: Path, stage: str) -> list[float]:
    return [record["loss"] for record in records(root, stage) if "loss" in record]


def records(root: Path, stage: str) -> list[dict]:
    (path,) = (root / "store").glob(f"{stage}-*/log.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights(root: Path) -> str:
    (path,) = (root / "store").glob("pretrain-*/manifest.json")
    return json.loads(path.read_text())["files"]["model.safetensors"]["sha256"]


def test_two_processes_make_the_run_of_one(one, two):
    root, said = two
    assert "2 processes share training" in said
    assert said.count("✓ pretrain") == 1  # one voice
    for stage in ("pretrain", "sft"):
        found, expected = losses(root, stage), losses(one, stage)
        assert len(found) == len(expected) > 5
        assert found == pytest.approx(expected, abs=1e-5)


def test_two_processes_reinforce_as_one(texts, one, tmp_path):
    """Each samples, judges and computes its share; the answers are those of one process's two lanes. Short answers are
    paid for, since a model of this size solves nothing."""
    settings = {"steps": 3, "prompts": 6, "rollouts": 4, "max_new_tokens": 16, "validate_every": 2}
    settings |= {"dynamic_sampling": "false", "shaping.length.high": 1.0, "lr": 1e-3, "kl": 0.01}
    asked = [part for key, value in settings.items() for part in ("--set", f"reinforce.{key}={value}")]
    asked += ["--until", "reinforce", "--set", "evaluate.samples=1", "--set", "evaluate.max_new_tokens=8"]
    finish(start(texts, one, *asked))
    shutil.copytree(one / "store", tmp_path / "store", ignore=shutil.ignore_patterns("reinforce-*", ".locks"))
    finish(start(texts, tmp_path, *asked, "--nproc", "2"))
    expected, found = records(one, "reinforce"), records(tmp_path, "reinforce")
    assert len(found) == len(expected) == 3 + 3 + 2  # steps, looks at validation, rollouts to read
    for after, before in zip(found, expected, strict=True):
        assert after.pop("rollouts", None) == before.pop("rollouts", None)
        assert after == pytest.approx(before, abs=1e-5)
    assert any(record.get("gradient_norm", 0) > 0 for record in found)
    (mine,), (theirs,) = (list(root.glob("store/reinforce-*/model.safetensors")) for root in (tmp_path, one))
    mine, theirs = load_file(mine), load_file(theirs)
    assert all(torch.allclose(mine[name], theirs[name], rtol=0, atol=1e-5) for name in theirs)
    (start_,) = one.glob("store/sft-*/model.safetensors")
    assert any(not torch.equal(weight, mine[name]) for name, weight in load_file(start_).items())


def test_killed_with_torchrun_it_goes_on(texts, one, two, tmp_path):
    """The launcher is killed: its processes end too, and the same command makes the same bits."""
    root = begun(one, tmp_path)
    process = start(texts, root, "--until", "pretrain", "--nproc", "2")
    while not list(root.glob("store/pretrain-*.partial/state/step-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)  # back when no process holds its output any more
    assert list(root.glob("store/pretrain-*.partial/state/step-*"))
    finish(start(texts, root, "--until", "pretrain", "--nproc", "2"))
    assert weights(root) == weights(two[0])


@pytest.mark.parametrize("mistake", ["pretrain.epochs=0.01", "compute.context_parallel=3"])
def test_a_mistake_is_told_once(texts, one, tmp_path, mistake):
    process = start(texts, begun(one, tmp_path), "--nproc", "2", "--set", mistake)
    said, complaint = process.communicate(timeout=300)
    assert process.returncode == 2, said + complaint
    assert complaint.count("error:") == 1 and len(complaint.strip().splitlines()) <= 2, complaint
    assert "Traceback" not in said + complaint
