"""Killed at any moment, a stage ends in the same weights, optimizer state and log, bit for bit."""

import json
import random
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import underdog.train.resume as resume
import underdog.train.strategy as strategy
from underdog.artifacts.store import LOG, Draft
from underdog.errors import UserError
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Model, Optimizer
from underdog.train.batch import Example, collate
from underdog.train.objectives import next_token
from underdog.train.resume import Resumable
from underdog.train.trainer import Trainer

STEPS = 12
SHAPE = Model(width=16, layers=1, heads=2, kv_heads=1, head_width=8, ffn=16, context=32)


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def examples(step):
    source = random.Random(step)
    return [Example(source.choices(range(30), k=9), [True] * 9) for _ in range(3)]


def stage(folder, kind, dies=lambda step: False):
    """Trains; moves the reference and clears the optimizer now and then, as reinforcement does."""
    out = Draft(folder)
    model, reference = (Decoder(ModelConfig.from_recipe(SHAPE, 30)).initialise(seed) for seed in (1, 2))
    trainer = Trainer(model, Optimizer(kind=kind), next_token)
    run = Resumable(out, trainer, STEPS, {"reference": reference})
    for step in run.steps():
        if step in (4, 9):
            reference.load_state_dict(model.state_dict())
            trainer.clear_optimizer()
            run.memory["resets"] = run.memory.get("resets", 0) + 1
        out.log(step=step, note="before")
        figures = trainer.update([collate(examples(step))], 1e-2 / (step + 1))
        out.log(step=step, **figures)
        out.metrics["last"] = figures["loss"]
        if dies(step):
            raise Killed
    moments, counts = resume._optimizer_state(trainer.optimizers)
    weights = {f"{name}.{key}": w for name, m in (("m", model), ("r", reference)) for key, w in m.named_parameters()}
    tensors = {key: value.detach().clone() for key, value in {**weights, **moments}.items()}
    return tensors, counts, run.memory, out.metrics, (folder / LOG).read_text()


def resumed(folder, kind):
    """Runs until it is no longer killed, each time anew."""
    for _ in range(100):
        try:
            return stage(folder, kind)
        except Killed:
            continue
    pytest.fail("it never ends")


def assert_equal(one, other):
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])
    assert one[1:] == other[1:]


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setenv(resume.SAVE_EVERY, "0")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return {kind: stage(tmp_path_factory.mktemp(kind), kind) for kind in ("adamw", "muon")}


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_saving_changes_nothing(tmp_path, every_step, uninterrupted, kind):
    assert_equal(stage(tmp_path, kind), uninterrupted[kind])


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_killed_after_every_step(tmp_path, every_step, uninterrupted, kind):
    """The state before a step is the last one: each attempt does one new step, and one again."""
    for step in range(STEPS):
        with pytest.raises(Killed):
            stage(tmp_path, kind, lambda now, step=step: now >= step)
    assert_equal(stage(tmp_path, kind), uninterrupted[kind])


def test_killed_at_random_between_rare_saves(tmp_path, monkeypatch, uninterrupted):
    source = random.Random(5)
    saves = iter(lambda: source.choice(("0", "1000")), None)
    for _ in range(8):
        monkeypatch.setenv(resume.SAVE_EVERY, next(saves))
        try:
            stage(tmp_path, "muon", lambda now: source.random() < 0.3)
        except Killed:
            continue
    assert_equal(stage(tmp_path, "muon"), uninterrupted["muon"])


MOMENTS = {  # what a save calls once: the module, the function
    "save_file": strategy,
    "write_json": resume,
    "commit_folder": resume,
    "_optimizer_state": resume,
}


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("function", MOMENTS)
def test_killed_within_a_save(tmp_path, every_step, uninterrupted, monkeypatch, function, late):
    """Before or after each thing that any save does: the older state stays until the newer is whole."""
    real, calls = getattr(MOMENTS[function], function), iter(range(10_000))
    fatal = set(range(0, 40, 2))

    def deadly(*arguments):
        call = next(calls)
        if call in fatal and not late:
            raise Killed
        result = real(*arguments)
        if call in fatal:
            raise Killed
        return result

    with monkeypatch.context() as patched:
        patched.setattr(MOMENTS[function], function, deadly)
        for _ in range(12):
            states = [json.loads((one / "state.json").read_text())["step"] for one in tmp_path.glob("state/step-*")]
            assert len(states) <= 2
            with pytest.raises(Killed):
                stage(tmp_path, "muon")
            now = [json.loads((one / "state.json").read_text())["step"] for one in tmp_path.glob("state/step-*")]
            assert max(now, default=0) >= max(states, default=0)
            if now and max(now) >= STEPS - 3:
                break
    assert_equal(resumed(tmp_path, "muon"), uninterrupted["muon"])


def test_killed_while_the_older_state_is_removed(tmp_path, every_step, uninterrupted, monkeypatch):
    def half(folder, **_):
        if folder.name.startswith("step-") and folder.exists():
            next(folder.iterdir()).unlink()
            raise Killed
        rmtree(folder, ignore_errors=True)

    rmtree = shutil.rmtree
    with monkeypatch.context() as patched:
        patched.setattr(resume.shutil, "rmtree", half)
        with pytest.raises(Killed):
            stage(tmp_path, "muon")
    assert len(list(tmp_path.glob("state/step-*"))) == 2
    assert_equal(resumed(tmp_path, "muon"), uninterrupted["muon"])


KILLED_BY_THE_SYSTEM = """
import importlib.util, os, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("test_resume", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
real, calls = os.fsync, iter(range(1000))
def fsync(handle):
    if next(calls) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(handle)
os.fsync = fsync
module.stage(Path(sys.argv[2]), "muon")
"""


def test_killed_by_the_system_within_a_save(tmp_path, every_step, uninterrupted):
    for call in (7, 17):
        command = [sys.executable, "-c", KILLED_BY_THE_SYSTEM, __file__, str(tmp_path), str(call)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert list(tmp_path.glob("state/step-*"))
    assert_equal(resumed(tmp_path, "muon"), uninterrupted["muon"])


def test_only_the_last_state_is_kept_and_all_of_it_is_plain(tmp_path, every_step):
    with pytest.raises(Killed):
        stage(tmp_path, "muon", lambda step: step == 6)
    (folder,) = tmp_path.glob("state/*")
    assert folder.name == "step-00000006"
    assert sorted(path.name for path in folder.iterdir()) == [
        "state.json",
        "whole.safetensors",
    ]
    weights = {name for name, _ in Decoder(ModelConfig.from_recipe(SHAPE, 30)).named_parameters()}
    found = load_file(folder / "whole.safetensors").keys()
    assert {f"{model}.{name}" for model in ("model", "reference") for name in weights} < found
    state = json.loads((folder / "state.json").read_text())
    assert state["memory"] == {"resets": 1}
    assert state["step"] == 6


def test_time_spent_before_the_state_counts(tmp_path, every_step):
    with pytest.raises(Killed):
        stage(tmp_path, "muon", lambda step: step == 6)
    (state,) = tmp_path.glob("state/*/state.json")
    record = json.loads(state.read_text())
    assert 0 < record["seconds"] < 60
    state.write_text(json.dumps({**record, "seconds": 1000.0}))
    out = Draft(tmp_path)
    model, reference = (Decoder(ModelConfig.from_recipe(SHAPE, 30)) for _ in range(2))
    next(Resumable(out, Trainer(model, Optimizer(kind="muon"), next_token), STEPS, {"reference": reference}).steps())
    assert 1000 < out.seconds < 1060


def test_a_setting_that_is_not_a_number(tmp_path, monkeypatch):
    monkeypatch.setenv(resume.SAVE_EVERY, "often")
    with pytest.raises(UserError, match='UNDERDOG_SAVE_SECONDS is "often"'):
        stage(tmp_path, "muon")
