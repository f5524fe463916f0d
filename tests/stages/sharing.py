"""One of several processes that share the policy of a reinforcement stage; test_reinforce_sharded.py starts them."""

import os

import torch

from underdog import world
from underdog.artifacts.store import Draft, JoinedDraft, load
from underdog.recipe.reinforcement import Reinforce
from underdog.recipe.schema import Compute
from underdog.stages.reinforce import reinforce
from underdog.train.sharded import Sharded

COMPUTE = Compute(part_tokens=64)  # several parts to a step


def member(rank, size, port, settings, start, problems, folder):
    found = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(value) for name, value in found.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), UNDERDOG_SAVE_SECONDS="0")
    torch.set_num_threads(1)
    world.join()
    out = Draft(folder) if rank == 0 else JoinedDraft(folder)
    reinforce(Reinforce(**settings), 1, load(start), load(problems), out, Sharded(COMPUTE))
    world.leave()
