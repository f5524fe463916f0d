"""Two processes that share a model: the losses of one, and no bit changed by a kill at any moment."""

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from underdog.artifacts.store import LOG
from underdog.recipe.schema import Compute

STEPS = 6
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def several():
    """tests/train/several.py under a name that the processes find too."""
    path = Path(__file__).with_name("several.py")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("several", path)
    module = sys.modules["several"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(path.parent))


@pytest.fixture(autouse=True)
def as_before(several):
    """What the stage sets for its processes does not stay in this one."""
    every = os.environ.get(several.resume.SAVE_EVERY)
    yield
    os.environ.pop(several.resume.SAVE_EVERY, None)
    if every is not None:
        os.environ[several.resume.SAVE_EVERY] = every


@pytest.fixture(scope="module")
def calm(several, tmp_path_factory):
    """kind -> folder of a stage that two processes computed undisturbed."""
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            assert several.together(made[kind], STEPS, kind=kind) == [0, 0]
        return made[kind]

    return of


def records(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def weights(folder):
    return {name: weight for name, weight in load_file(folder / "last.safetensors").items() if name[0] == "m"}


def assert_close(one, other):
    """The loss curve of one process to 1e-5, which the issue asks for, and as much of everything else."""
    one_log, other_log = records(one), records(other)
    assert [record.keys() for record in one_log] == [record.keys() for record in other_log]
    assert len(one_log) == STEPS
    for before, after in zip(one_log, other_log, strict=True):
        assert before == pytest.approx(after, abs=1e-5)
    mine, yours = weights(one), weights(other)
    assert mine.keys() == yours.keys() and mine
    assert all(torch.allclose(mine[name], yours[name], atol=1e-5) for name in mine)


def assert_same_bits(one, other):
    assert records(one) == records(other)
    mine, yours = weights(one), weights(other)
    assert mine.keys() == yours.keys() and mine
    assert all(torch.equal(mine[name], yours[name]) for name in mine)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_two_processes_follow_the_curve_of_one(several, calm, tmp_path, kind):
    several.alone(tmp_path, STEPS, kind=kind)
    assert_close(calm(kind), tmp_path)


@pytest.mark.parametrize("first", ["one", "two"])
def test_one_goes_on_where_two_stopped_and_two_where_one_did(several, calm, tmp_path, first):
    begin, end = (several.alone, several.together) if first == "one" else (several.together, several.alone)
    begin(tmp_path, STEPS // 2)
    end(tmp_path, STEPS)
    assert_close(calm("muon"), tmp_path)


def test_three_go_on_where_two_stopped(several, calm, tmp_path):
    several.together(tmp_path, STEPS // 2)
    assert several.together(tmp_path, STEPS, size=3) == [0, 0, 0]
    assert_close(calm("muon"), tmp_path)


def test_killed_at_any_moment_of_a_save(several, calm, tmp_path):
    """Either process while it writes its slices, and rank 0 while it finishes the folder: it waits for the disk seven
    times a save."""
    for rank, call in [(0, 0), (1, 1), (0, 9), (0, 4), (1, 0)]:
        exits = several.together(tmp_path, STEPS, fatal=(rank, call))
        assert exits[rank] == KILLED, exits
    assert several.together(tmp_path, STEPS) == [0, 0]
    assert_same_bits(calm("muon"), tmp_path)


def test_killed_by_the_clock(several, calm, tmp_path):
    """Both processes at once, at moments that nobody chose."""
    for after in (0.7, 1.1, 1.6):
        several.together(tmp_path, STEPS, after=after)
    assert several.together(tmp_path, STEPS) == [0, 0]
    assert_same_bits(calm("muon"), tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_full_disk_is_told_and_the_state_before_stays(several, calm, tmp_path, rank):
    exits = several.together(tmp_path, STEPS, full=(rank, (8, 2)[rank]))
    assert exits[rank] == 2
    assert (tmp_path / f"error-{rank}").read_text() == f"The disk that holds {tmp_path} is full."
    assert len([path for path in (tmp_path / "state").glob("step-*") if (path / "state.json").exists()]) == 1
    assert several.together(tmp_path, STEPS) == [0, 0]
    assert_same_bits(calm("muon"), tmp_path)


def test_a_state_without_its_name_is_not_read(several, calm, tmp_path):
    several.together(tmp_path, STEPS // 2)
    (state,) = (tmp_path / "state").iterdir()
    half = tmp_path / "state" / "writing"
    half.mkdir()
    (half / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"half")
    several.together(tmp_path, STEPS)
    assert not half.exists() and not state.exists()
    assert_same_bits(calm("muon"), tmp_path)


def test_memory_for_arithmetic_changes_no_bit(several, calm, tmp_path):
    assert several.together(tmp_path, STEPS, compute=Compute(activation_checkpointing=True)) == [0, 0]
    assert_same_bits(calm("muon"), tmp_path)


@pytest.mark.parametrize(("size", "sharing"), [(4, 2), (3, 3)])
def test_processes_that_share_sequences_follow_the_curve_of_one(several, tmp_path, size, sharing):
    for name in ("one", "several"):
        (tmp_path / name).mkdir()
    compute = Compute(context_parallel=sharing, activation_checkpointing=size == 4)
    assert several.together(tmp_path / "several", STEPS, size=size, kind="adamw", compute=compute) == [0] * size
    several.alone(tmp_path / "one", STEPS, kind="adamw")
    assert_close(tmp_path / "several", tmp_path / "one")


def test_bfloat16_stays_near(several, calm, tmp_path):
    assert several.together(tmp_path, STEPS, compute=Compute(precision="bf16")) == [0, 0]
    for exact, rough in zip(records(calm("muon")), records(tmp_path), strict=True):
        assert rough["loss"] == pytest.approx(exact["loss"], rel=0.03)
    assert all(weight.dtype == torch.float32 for weight in weights(tmp_path).values())


def test_float8_stays_near(several, tmp_path):
    shape = several.SHAPE.model_copy(update={"head_width": 16, "ffn": 32})  # sides that float8 products take
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    compute = Compute(precision="fp8", activation_checkpointing=True)
    assert several.together(tmp_path / "two", STEPS, shape=shape, compute=compute) == [0, 0]
    several.alone(tmp_path / "one", STEPS, shape=shape)
    for exact, rough in zip(records(tmp_path / "one"), records(tmp_path / "two"), strict=True):
        assert rough["loss"] == pytest.approx(exact["loss"], rel=0.05)
    assert all(weight.dtype == torch.float32 for weight in weights(tmp_path / "two").values())
