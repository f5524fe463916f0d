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
    (path,) = (root / "store").glob(f"{stage}-*/log.jsonl")
    return [record["loss"] for record in map(json.loads, path.read_text().splitlines()) if "loss" in record]


def weights(root: Path) -> str:
    (path,) = (root / "store").glob("pretrain-*/manifest.json")
    return json.loads(path.read_text())["files"]["model.safetensors"]["sha256"]


def test_two_processes_make_the_run_of_one(one, two):
    root, said = two
    assert "2 processes share pretraining and SFT" in said
    assert said.count("✓ pretrain") == 1  # one voice
    for stage in ("pretrain", "sft"):
        found, expected = losses(root, stage), losses(one, stage)
        assert len(found) == len(expected) > 5
        assert found == pytest.approx(expected, abs=1e-5)


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
