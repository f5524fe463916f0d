"""A policy in slices: two processes hold half of every weight each, and a server answers."""

import json
import multiprocessing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.stages.sharing import COMPUTE, member
from tests.stub_vllm import served
from tests.train.several import free_port

from underdog.generate.engine import Engine
from underdog.model.weights import load_pretrained
from underdog.recipe.reinforcement import Reinforce
from underdog.stages.reinforce import reinforce
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.strategy import Local

SETTINGS = {
    "steps": 3,
    "prompts": 3,
    "rollouts": 6,
    "minibatches": 1,
    "max_new_tokens": 12,
    "validate_every": 1,
    "dynamic_sampling": False,
    "lr": 1e-3,
    "kl": 0.01,
    "loss": {"sampler_correction": [0.5, 2.0]},
    "shaping": {"length": {"high": 1.0}},
    "reset": {"every": 2, "on_stall": False, "rollback": 0.5},
}


@pytest.fixture
def problems(asking):
    """A verifier that every process knows; what is learned from is the price of length."""
    return asking("text", "x", train=6, validation=2)


@pytest.fixture
def server(start):
    tokenizer = Tokenizer.load(start.path)
    with served(load_pretrained(start.path), tokenizer.turn_end, 128) as server:
        yield server


def together(*arguments):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.stages.sharing"])
    port = free_port()
    members = [context.Process(target=member, args=(rank, 2, port, *arguments)) for rank in range(2)]
    for process in members:
        process.start()
    for process in members:
        process.join(120)
    codes = [process.exitcode for process in members]
    for process in members:
        process.kill()
    return codes


def records(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_two_processes_that_share_a_policy_end_where_one_does(start, problems, make, server, tmp_path):
    settings = {**SETTINGS, "engine": server.url}
    alone = make(lambda out: reinforce(Reinforce(**settings), 1, start, problems, out, Local(COMPUTE)))
    updates = [path for path, _ in server.asked].count("/collective_rpc")
    server.asked.clear()
    folder = tmp_path / "shared"
    folder.mkdir()
    assert together(settings, start.path, problems.path, folder) == [0, 0]
    assert [path for path, _ in server.asked].count("/collective_rpc") == updates == 4  # at the start, after each step
    found, expected = records(folder), alone.log()
    assert len(found) == len(expected) and any("reset" in record for record in found)
    for after, before in zip(found, expected, strict=True):
        assert after.pop("rollouts", None) == before.pop("rollouts", None)
        assert after == pytest.approx(before, abs=1e-5)
    mine, theirs = load_file(folder / "model.safetensors"), load_file(alone.path / "model.safetensors")
    assert mine.keys() == theirs.keys()
    assert all(torch.allclose(mine[name], theirs[name], rtol=0, atol=1e-5) for name in theirs)
    before = load_file(start.path / "model.safetensors")
    assert any(not torch.allclose(mine[name], before[name], atol=1e-4) for name in before)
    Engine(load_pretrained(folder), 0)  # a plain checkpoint


def test_a_state_of_slices_is_gone_on_from(start, problems, make, server, tmp_path):
    """The reference, which was reset, comes back with the policy."""
    folder, later = tmp_path / "shared", tmp_path / "later"
    folder.mkdir()
    assert together({**SETTINGS, "engine": server.url}, start.path, problems.path, folder) == [0, 0]
    (state,) = folder.glob("state/step-*")
    assert {"model", "reference", "best"} <= {name.partition(".")[0] for name in names(state)}
    later.mkdir()
    state.parent.rename(later / "state")
    (later / "log.jsonl").write_bytes((folder / "log.jsonl").read_bytes())
    assert together({**SETTINGS, "engine": server.url}, start.path, problems.path, later) == [0, 0]
    assert records(later) == records(folder)
    mine, theirs = load_file(later / "model.safetensors"), load_file(folder / "model.safetensors")
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def names(state: Path) -> set[str]:
    return {name for path in state.glob("*.safetensors") for name in load_file(path)}
