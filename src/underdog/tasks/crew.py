"""Several rows at once: threads where the model draws answers side by side, else processes with a model each."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

from underdog.generate.options import OptionError
from underdog.tasks.ask import NoAnswer
from underdog.text.workers import follow_parent, worker_ended

Row = Mapping[str, Any]
Done = tuple[int, dict[str, Any]]  # which row, and its results
FAILED = "error"  # the column that says what was wrong with a row
TOGETHER = 64  # rows of one pass: what is lost when a job is stopped


@dataclass(frozen=True)
class Ready:
    """A job that has its model. `parallel`: rows that the model works on side by side."""

    do: Callable[[Row], Mapping[str, Any]]
    parallel: int = 1
    do_together: Callable[[Sequence[Row]], Sequence[Mapping[str, Any]]] | None = None  # where one pass reads many rows


class Job(Protocol):
    """What is to be done to each row; it can be sent to another process, which opens a model of its own."""

    name: ClassVar[str]

    @property
    def columns(self) -> Sequence[str]:
        """Columns that it reads, all of them texts."""
        ...

    def open(self) -> Ready:
        """Raises UserError: the model or the settings are not right."""
        ...


def work_through(
    job: Job, rows: Sequence[Row], todo: Sequence[int], workers: int = 1, ready: Ready | None = None
) -> Iterator[Done]:
    """Results of the rows in `todo`, in any order. A row that is refused has an `error`; the others go on.

    Args:
        ready: the job with its model, where that is open already.

    Raises:
        UserError: the job cannot be opened, or its model is gone.
    """
    workers = min(workers, len(todo))
    if not workers:
        return
    ready = ready or job.open()
    if workers == 1:
        many = TOGETHER if ready.do_together else 1
        for part in (todo[start : start + many] for start in range(0, len(todo), many)):
            yield from zip(part, _tried_together(ready, [rows[index] for index in part]), strict=True)
        return
    pool: Executor
    if ready.parallel > 1:
        pool = ThreadPoolExecutor(workers)
        submit = partial(pool.submit, _tried, ready)
    else:
        del ready  # the processes open one each
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (job,))
        submit = partial(pool.submit, _tried_there)
    try:
        yield from _as_done(lambda index: submit(rows[index]), todo, 2 * workers)
    except BrokenProcessPool:
        raise worker_ended() from None
    finally:
        pool.shutdown(cancel_futures=True)


def _as_done(call: Callable[[int], "Future[dict[str, Any]]"], todo: Sequence[int], ahead: int) -> Iterator[Done]:
    waiting = list(reversed(todo))
    begun: dict[Future[dict[str, Any]], int] = {}
    while waiting or begun:
        while waiting and len(begun) < ahead:
            index = waiting.pop()
            begun[call(index)] = index
        for future in wait(begun, return_when=FIRST_COMPLETED).done:
            yield begun.pop(future), future.result()


def _tried(ready: Ready, row: Row) -> dict[str, Any]:
    try:
        return dict(ready.do(row))
    except (OptionError, NoAnswer) as problem:  # mostly too long for the model
        return {FAILED: str(problem)}


def _tried_together(ready: Ready, rows: Sequence[Row]) -> list[dict[str, Any]]:
    if ready.do_together and len(rows) > 1:
        try:
            return [dict(result) for result in ready.do_together(rows)]
        except (OptionError, NoAnswer):
            pass  # row by row it shows whose it is
    return [_tried(ready, row) for row in rows]


_ready: Ready


def _begin(job: Job) -> None:
    global _ready
    follow_parent()
    _ready = job.open()


def _tried_there(row: Row) -> dict[str, Any]:
    return _tried(_ready, row)
