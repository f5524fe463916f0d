"""The line before the model: so many answers at a time as the engine draws side by side, first come, first served."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from underdog.errors import UserError
from underdog.generate.session import Delta, Deltas
from underdog.serve.errors import FAILED, ApiError

log = logging.getLogger(__name__)
R = TypeVar("R")

MOST = 64  # requests inside, those being drawn included
GRACE = 5.0  # seconds that answers in progress get when the server stops


class Line:
    """Draws answers on threads of its own, so that the server stays responsive and a client that reads slowly does not
    hold up the others. Who comes when it is full is told to come again."""

    def __init__(self, workers: int = 1, most: int = MOST):
        self._worker = ThreadPoolExecutor(workers, thread_name_prefix="model")
        self._most = most
        self._closed = threading.Event()
        self._stopping = False
        self.inside = 0

    def run(self, deltas: Deltas, watch: Callable[[Delta], None] = lambda delta: None) -> "Turn":
        """The deltas, once it is their turn. `watch` sees each of them as it is given out.

        Raises:
            ApiError: the line is full.
        """
        try:
            self._admit()
        except ApiError:
            deltas.close()
            raise
        turn = Turn(self, self._closed, watch)
        self._worker.submit(turn.draw, deltas)
        return turn

    async def call(self, work: Callable[[], R]) -> R:
        """The result of something short that the model does.

        Raises:
            ApiError: the line is full, or the work failed.
        """
        self._admit()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        except Exception as problem:
            raise told(problem) from problem
        finally:
            self.inside -= 1

    async def drain(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Lets nobody in any more, and ends what is not finished after these seconds, or when told to `hurry`."""
        self._stopping = True
        last = time.monotonic() + seconds
        while self.inside and time.monotonic() < last and not hurry():
            await asyncio.sleep(0.02)
        self._closed.set()

    def _admit(self) -> None:
        if self._stopping:
            raise stopping()
        if self.inside >= self._most:
            raise ApiError(429, f"{self.inside} requests are inside already; come again.", code="rate_limit_exceeded")
        self.inside += 1


class Turn:
    """One answer in the making, as an asynchronous iterator. Closing it stops the model before its next token."""

    def __init__(self, line: Line, closed: threading.Event, watch: Callable[[Delta], None]):
        self._line = line
        self._watch = watch
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._drawn: asyncio.Queue[Delta | Exception] = asyncio.Queue()
        self._left = threading.Event()
        self._finished = False

    def draw(self, deltas: Deltas) -> None:
        """Runs on the model's thread."""
        try:
            while not self._left.is_set():
                if self._closed.is_set():
                    raise stopping()
                delta = next(deltas)
                self._tell(delta)
                if delta.finish:
                    break
        except Exception as problem:
            self._tell(problem)
        finally:
            deltas.close()

    def _tell(self, item: Delta | Exception) -> None:
        if not self._left.is_set():
            self._loop.call_soon_threadsafe(self._drawn.put_nowait, item)

    def __aiter__(self) -> "Turn":
        return self

    async def __anext__(self) -> Delta:
        """Raises ApiError: the line was closed before the answer was finished, or drawing it failed."""
        if self._finished:
            raise StopAsyncIteration
        item = await self._drawn.get()
        if isinstance(item, Exception):
            await self.aclose()
            raise told(item) from item
        self._watch(item)
        if item.finish:
            await self.aclose()
        return item

    async def aclose(self) -> None:
        self._finished = True
        if not self._left.is_set():
            self._left.set()
            self._line.inside -= 1


def stopping() -> ApiError:
    return ApiError(503, "The server is shutting down.", code="shutting_down")


def told(problem: Exception) -> ApiError:
    """What a client learns of an error."""
    if isinstance(problem, ApiError):
        return problem
    if isinstance(problem, UserError):
        return ApiError(400, f"{problem} {problem.hint or ''}".strip(), code="invalid_value")
    log.error("drawing an answer failed", exc_info=problem)
    return ApiError(500, FAILED, code="internal_error")
