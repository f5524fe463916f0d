"""A stage in several processes: all of them compute one that is shared, rank 0 alone the others. Rank 0 writes.

The processes see the same folder: one machine's disk, or a shared file system.
"""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from underdog import world
from underdog.artifacts.files import disk_errors
from underdog.artifacts.store import Artifact, Draft, JoinedDraft, Store, load
from underdog.errors import UserError
from underdog.lanes import open_lanes
from underdog.recipe.reinforcement import BUILT_IN
from underdog.recipe.schema import Compute

if TYPE_CHECKING:  # what only looks at runs needs no torch
    from underdog.train.strategy import Strategy


class Shared(Enum):
    """What the processes of a run have of a stage."""

    NOT = "rank 0 computes it alone"
    SLICES = "each holds a slice of the model"
    COPIES = "each holds the whole model"


def check_processes(compute: Compute) -> None:
    """
    Raises:
        UserError: the processes of the run cannot form the groups that are to share sequences.
    """
    size = compute.context_parallel
    if world.size() % size:
        raise UserError(
            f"compute.context_parallel is {size}, and the run has {world.size()} process(es).",
            hint=f"Start a multiple of {size} (--nproc {size}), or set it to 1.",
        )


def strategy_for(compute: Compute) -> "Strategy":
    """What suits the processes and devices that there are."""
    device = "cuda" if _gpus() else "cpu"
    if world.size() == 1:
        from underdog.train.strategy import Local

        return Local(compute, device)
    from underdog.train.sharded import Sharded

    return Sharded(compute, device)


def strategy_for_policy(compute: Compute, engine: str) -> "Strategy":
    """The same for a policy: whole in every process where each samples from it, as the built-in engine does, in slices
    where a server does. Always in float32, and answers that share a prompt are not divided."""
    if engine != BUILT_IN:
        return strategy_for(compute.model_copy(update={"precision": "float32", "context_parallel": 1}))
    if world.size() == 1:
        from underdog.train.strategy import Local

        return Local()
    from underdog.train.replicated import Replicated

    return Replicated()


def use_cores(cores: int, shared: Shared) -> None:
    """Shares this machine's cores out: a lane for each, among the processes that compute.

    One lane, with threads, where a GPU computes or where processes gather weights, which they must all do in one order.
    """
    if shared is Shared.NOT:
        open_lanes(cores)
    elif shared is Shared.COPIES or (world.size() == 1 and not _gpus()):
        open_lanes(max(1, cores // world.local_size()))
    else:
        import torch

        open_lanes(1)
        torch.set_num_threads(max(1, cores // world.local_size()))


def _gpus() -> bool:
    import torch

    return torch.cuda.is_available()


def make(
    store: Store, stage: str, build: Callable[[Draft], None], *, shared: Shared, **making: Any
) -> tuple[Artifact, bool]:
    """`Store.make` by all processes: rank 0 makes the artifact, the others compute along or wait for it."""
    if world.rank():
        return _follow(store, build), False

    def lead(out: Draft) -> None:
        if shared is not Shared.NOT:
            world.agree(out.path)
        build(out)

    artifact, reused = store.make(stage, lead, **making)
    world.agree(None)
    world.agree(artifact.path)
    return artifact, reused


def _follow(store: Store, build: Callable[[Draft], None]) -> Artifact:
    """What rank 0 says: the draft to compute in, if there is one; None when the artifact is there; its folder."""
    draft: Path | None = None
    while draft := world.agree(draft):
        with disk_errors(store.root):
            build(JoinedDraft(draft))
    return load(world.agree(Path()), verify=False)
