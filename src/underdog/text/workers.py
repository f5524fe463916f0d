"""Worker processes: on this machine's cores, or on a Ray cluster. They share files and never memory."""

import contextlib
import functools
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from underdog.errors import UserError, did_you_mean

Work = Callable[..., None]
"""Called with the context and the parts of an item."""


class Workers(Protocol):
    """Whoever does `work(context, *item)` for each item; yields the items as they are done."""

    def run(self, work: Work, context: Any, items: Sequence[Any]) -> Iterator[Any]: ...

    def close(self) -> None: ...


@contextlib.contextmanager
def hire(count: int, on: str, warm_up: Callable[[], None] | None = None) -> Iterator[Workers]:
    """Workers; one alone is this process. New processes start at once, and `warm_up` is the first thing that they do,
    while this one still prepares their work. No worker is left behind.

    Raises:
        UserError: `on` is neither "here" nor "ray", or Ray is not there.
    """
    if on == "ray":
        from underdog.text.ray_workers import RayWorkers

        workers: Workers = RayWorkers(count)
    elif on == "here":
        workers = Processes(count, warm_up) if count > 1 else Inline()
    else:
        raise UserError(f'Curation cannot run on "{on}".', hint=did_you_mean(on, ("here", "ray")))
    try:
        yield workers
    finally:
        workers.close()


class Inline:
    """This process alone."""

    def run(self, work: Work, context: Any, items: Sequence[Any]) -> Iterator[Any]:
        for item in items:
            work(context, *item)
            yield item

    def close(self) -> None:
        pass


class Processes:
    """This process and new ones on this machine, that end with it."""

    def __init__(self, count: int, warm_up: Callable[[], None] | None):
        self._pool = ProcessPoolExecutor(count - 1, multiprocessing.get_context("spawn"), follow_parent)
        for _ in range(count - 1 if warm_up else 0):
            self._pool.submit(warm_up)
        self._ahead = 2 * (count - 1)

    def run(self, work: Work, context: Any, items: Sequence[Any]) -> Iterator[Any]:
        pickled = pickle.dumps(context)
        waiting = list(reversed(items))
        begun: dict[Future[None], Any] = {}
        try:
            while waiting or begun:
                while waiting and len(begun) < self._ahead:
                    item = waiting.pop()
                    begun[self._pool.submit(_work, work, pickled, item)] = item
                if waiting:  # the others have enough to do until this one is done
                    item = waiting.pop()
                    work(context, *item)
                    yield item
                for future in wait(begun, 0 if waiting else None, FIRST_COMPLETED).done:
                    future.result()
                    yield begun.pop(future)
        except BrokenProcessPool:
            raise worker_ended() from None

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def worker_ended() -> UserError:
    """What to say where a process pool is broken."""
    return UserError(
        "A worker process ended before its work did, as when the system kills it because memory runs out.",
        hint="Run the same command again: what is finished is kept. Fewer workers or threads need less memory. A "
        'script of your own must be a file, with `if __name__ == "__main__":` around what it does.',
    )


def follow_parent() -> None:
    """A worker process ends when its parent does, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and says when to end
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _work(work: Work, context: bytes, item: Sequence[Any]) -> None:
    work(_unpickled(context), *item)


@functools.lru_cache(1)
def _unpickled(context: bytes) -> Any:
    return pickle.loads(context)
