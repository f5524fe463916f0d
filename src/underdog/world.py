"""The processes of one run: which of them this is, and the few words that they exchange.

torchrun starts them and says in the environment which is which. A process that is alone is rank 0 of 1, and all of
this costs it nothing.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from underdog.errors import UserError

T = TypeVar("T")

PAUSE = 20  # seconds; torchrun on a busy machine needs several to see that a process has ended
PATIENCE = timedelta(days=30)  # processes wait for rank 0 through whole stages; torchrun ends them if one dies


def rank() -> int:
    """This process's number among all of the run."""
    return int(os.environ.get("RANK", 0))


def size() -> int:
    """How many processes share the run, over all machines."""
    return int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int:
    """This process's number on its machine: the GPU that it takes."""
    return int(os.environ.get("LOCAL_RANK", 0))


def local_size() -> int:
    """How many processes of the run share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


@dataclass(frozen=True)
class Place:
    """A process's place among those that share a piece of work."""

    rank: int = 0
    processes: int = 1

    def gathered(self, value: T) -> list[T]:
        """Every process's value, by rank, in each of them."""
        if self.processes == 1:
            return [value]
        import torch.distributed as distributed

        values: list[Any] = [None] * self.processes
        distributed.all_gather_object(values, value)
        return values


ALONE = Place()
"""Of a process that does all of the work, whoever else is there."""


def place() -> Place:
    """This process's among all of the run."""
    return Place(rank(), size())


def join() -> None:
    """Meets the other processes, where torchrun has started any."""
    if size() == 1:
        return
    import torch
    import torch.distributed as distributed

    die_with_the_parent()
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(local_rank())
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)


def leave() -> None:
    """Takes leave of the other processes."""
    if size() > 1:
        import torch.distributed as distributed

        distributed.destroy_process_group()


def agree(value: T) -> T:
    """Rank 0's value, in every process."""
    if size() == 1:
        return value
    import torch.distributed as distributed

    box: list[Any] = [value]
    distributed.broadcast_object_list(box, src=0, device="cpu")
    return box[0]


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """Of several processes only rank 0 speaks, and none laments that another was killed: torchrun says so.

    What ends another process is told after a while: where it has ended rank 0 too, torchrun stops this process
    before it repeats the news.
    """
    with contextlib.ExitStack() as silence:
        if rank():
            nowhere = silence.enter_context(open(os.devnull, "w"))
            silence.enter_context(contextlib.redirect_stdout(nowhere))
            silence.enter_context(contextlib.redirect_stderr(nowhere))
        try:
            yield
        except Exception as problem:
            lost = size() > 1 and "by peer" in str(problem)  # "Connection closed by peer", "Connection reset by peer"
            if rank() or lost:
                time.sleep(PAUSE)
            if lost:
                sys.exit(1)
            raise


def launch(processes: int, command: Sequence[str]) -> int:
    """Runs `python <command>` in that many processes under torchrun; returns the exit code of the first to fail.

    Raises:
        UserError: a process was killed.
    """
    import logging

    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what failed, the process says itself
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"underdog-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),
    )
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as failed:
        which, first = failed.get_first_failure()
        if first.exitcode < 0:
            raise UserError(
                f"Process {which} of {processes} was killed by {signal.Signals(-first.exitcode).name}.",
                hint="Where nobody did that, memory ran out. The same command goes on from the last state.",
            ) from None
        return first.exitcode
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


def die_with_the_parent(how: int = signal.SIGKILL) -> None:
    """Asks Linux to end this process when the one that started it is gone: half a run would hold its locks and never
    end."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, how)  # PR_SET_PDEATHSIG
