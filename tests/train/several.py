"""A small stage of training in one process or several; the tests start the processes from here, and kill them.

The processes are forked from a server that has imported everything once, so that one more start costs little.
"""

import errno
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

import underdog.train.resume as resume
import underdog.train.sharded
from underdog import world
from underdog.artifacts.files import disk_errors
from underdog.artifacts.store import Draft, JoinedDraft
from underdog.errors import UserError
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Compute, Model, Optimizer
from underdog.train.batch import Example, collate
from underdog.train.objectives import next_token
from underdog.train.resume import Resumable
from underdog.train.strategy import Local
from underdog.train.trainer import Trainer

SHAPE = Model(width=16, layers=1, heads=2, kv_heads=1, head_width=8, ffn=24, context=32)
VOCABULARY = 31  # odd: the slices of two processes differ in size
PARTS = 3  # odd: one process computes an idle part


def examples(step):
    source = random.Random(step)
    lengths = [source.randint(3, 12) for _ in range(9)]
    return [Example(source.choices(range(VOCABULARY), k=length), [True] * length) for length in lengths]


def stage(folder, steps, strategy, kind="muon", shape=SHAPE, fatal=None, full=None):
    """Trains, with the state saved before every step; the last weights are in last.safetensors.

    `fatal` says (rank, n): that process kills itself at its n-th wait for the disk. `full` says the same of a disk
    that is full from then on.
    """
    os.environ[resume.SAVE_EVERY] = "0"
    for moment, deed in ((fatal, _die), (full, _find_no_space)):
        if moment and moment[0] == world.rank():
            _at_sync(moment[1], deed)
    out = Draft(folder) if strategy.leads else JoinedDraft(folder)
    model = Decoder(ModelConfig.from_recipe(shape, VOCABULARY)).initialise(1)
    trainer = Trainer(model, Optimizer(kind=kind), next_token, strategy)
    run = Resumable(out, trainer, steps)
    for step in run.steps():
        model.set_rope_base(10_000.0 + step)
        batch = examples(step)
        with torch.no_grad():  # a look, which leaves the outermost weights gathered
            next_token(model, collate(batch))
        figures = trainer.update([collate(batch[part::PARTS]) for part in range(PARTS)], 1e-2)
        run.memory["tokens"] = run.memory.get("tokens", 0) + sum(len(one.ids) for one in batch)
        out.metrics["loss"] = figures["loss"]
        out.log(step=step, tokens=run.memory["tokens"], **figures)
    gathered = strategy.whole(model)
    if strategy.leads:
        moments, _ = resume._optimizer_state(trainer.optimizers) if world.size() == 1 else ({}, {})
        weights = {name: weight.detach() for name, weight in gathered.named_parameters()}
        save_file({**weights, **moments}, folder / "last.safetensors")


def alone(folder, steps, **options):
    compute = options.pop("compute", Compute())
    stage(folder, steps, Local(compute), **options)


def _member(rank, size, port, folder, steps, options):
    found = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(value) for name, value in found.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    world.join()
    compute = options.pop("compute", Compute())
    try:
        with disk_errors(folder):
            stage(folder, steps, underdog.train.sharded.Sharded(compute), **options)
    except UserError as problem:
        (folder / f"error-{rank}").write_text(str(problem))
        sys.exit(2)
    world.leave()


def together(folder: Path, steps: int, size: int = 2, after: float | None = None, **options) -> list[int]:
    """Runs the stage in `size` processes; returns their exit codes. Where one dies the others are killed, as
    torchrun does; `after` seconds all of them are."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["underdog.train.sharded", "underdog.train.resume"])
    port = free_port()
    members = [context.Process(target=_member, args=(rank, size, port, folder, steps, options)) for rank in range(size)]
    for member in members:
        member.start()
    began = time.monotonic()
    while any(member.is_alive() for member in members):
        failed = any(member.exitcode for member in members)
        if failed or (after is not None and time.monotonic() - began > after):
            for member in members:
                member.kill()
        time.sleep(0.02)
    return [member.exitcode for member in members]


def free_port() -> int:
    with socket.socket() as any_free:
        any_free.bind(("127.0.0.1", 0))
        return any_free.getsockname()[1]


def _at_sync(call, deed):
    """Does the deed at that wait for the disk, and at every later one."""
    real, calls = os.fsync, iter(range(100_000))

    def fsync(handle):
        if next(calls) >= call:
            deed()
        real(handle)

    os.fsync = fsync


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _find_no_space():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
