"""Lanes: whole pieces of work side by side, each on one core.

Spreading every small operation over the cores makes each wait for its slowest core, thousands of times a step; a busy
neighbour then costs more than a core brings (docs/notebook.md). Lanes wait for each other once a piece. PyTorch lets go
of Python's lock while it computes, so threads are enough.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_count = 1
_pool = ThreadPoolExecutor(1)
_stopping = Event()


def cores() -> int:
    """The cores that this process may use; a container or a mask may leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_lanes(count: int) -> None:
    """Sets the number of lanes. Each computes on one core from now on."""
    import torch

    global _count, _pool
    torch.set_num_threads(1)
    _pool.shutdown()
    _count, _pool = count, ThreadPoolExecutor(count, "lane")


def lanes() -> int:
    """How many pieces are worked on at once."""
    return _count


def side_by_side(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results in the order of the items; pieces are begun only as far ahead as keeps every lane busy.

    Whoever stops reading, by an error or by Ctrl-C, stops the other pieces at their next `check`.
    """
    if _count == 1:
        yield from map(work, items)
        return
    begun: deque[Future[R]] = deque()
    rest = iter(items)
    try:
        while True:
            begun.extend(_pool.submit(work, item) for item in islice(rest, _count + 1 - len(begun)))
            if not begun:
                return
            yield begun[0].result()
            begun.popleft()
    finally:
        _stop(begun)


def cut(items: Sequence[T], size: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Cuts a list into runs of at most `most` tokens (a longer item stands alone)."""
    run: list[T] = []
    total = 0
    for item in items:
        if run and total + size(item) > most:
            yield run
            run, total = [], 0
        run.append(item)
        total += size(item)
    if run:
        yield run


def as_they_come(work: Callable[[T], Iterator[R]], items: Iterable[T]) -> Iterator[R]:
    """What the pieces yield, while they go on: in order within a piece, in no order between them.

    An error, or a reader who stops, ends the other pieces as in `side_by_side`.
    """
    if _count == 1:
        for item in items:
            yield from work(item)
        return
    come: SimpleQueue[R | Future[None]] = SimpleQueue()

    def piece(item: T) -> None:
        for result in work(item):
            come.put(result)

    begun = [_pool.submit(piece, item) for item in items]
    try:
        for future in begun:
            future.add_done_callback(come.put)
        running = len(begun)
        while running:
            result = come.get()
            if isinstance(result, Future):
                result.result()
                running -= 1
            else:
                yield result
    finally:
        _stop(begun)


def _stop(begun: Iterable[Future]) -> None:
    """Ends pieces that nobody waits for any more."""
    _stopping.set()
    for future in begun:
        future.cancel() or future.exception()
    _stopping.clear()


class Stopped(Exception):
    """This piece's result is no longer wanted."""


def check() -> None:
    """Ends the current piece if nobody waits for it. Long pieces call this often."""
    if _stopping.is_set():
        raise Stopped
