"""The line before the model: so many answers at a time as the engine draws side by side, first come, first served."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from underdog.errors import UserError
from underdog.generate.session import Delta, Deltas
from underdog.serve.errors import FAILED, ApiError, refusal

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
        self._inside: set[Callable[[], object]] = set()  # of each who waits: what tells them that the line is closed
        self._begun: set[Future[object]] = set()
        self._closed = threading.Event()
        self.stopping = False  # nobody is let in any more

    @property
    def inside(self) -> int:
        """How many answers are drawn or wait."""
        return len(self._inside)

    @property
    def busy(self) -> bool:
        """A thread is still at work, maybe for nobody."""
        return any(future.running() for future in list(self._begun))

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
        turn = Turn(self._inside, self._closed, watch)
        self._begin(turn.draw, deltas)
        return turn

    async def call(self, work: Callable[[Callable[[], None]], R]) -> R:
        """The result of something that the model does. The work gets a function that it is to call now and then, which
        raises once nobody waits for the result.

        Raises:
            ApiError: the line is full or was closed, or the work failed.
        """
        self._admit()
        left = threading.Event()

        def check() -> None:
            if left.is_set():
                raise stopping()

        result = asyncio.wrap_future(self._begin(work, check))
        end = result.cancel
        self._inside.add(end)
        try:
            return await result
        except asyncio.CancelledError:
            if self._closed.is_set():
                raise stopping() from None
            raise
        except Exception as problem:
            raise told(problem) from problem
        finally:
            left.set()
            self._inside.discard(end)

    async def drain(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Lets nobody in any more, and ends what is not finished after these seconds, or when told to `hurry`."""
        self.stopping = True
        last = time.monotonic() + seconds
        while self.inside and time.monotonic() < last and not hurry():
            await asyncio.sleep(0.02)
        self._closed.set()
        for end in list(self._inside):
            end()

    def _admit(self) -> None:
        if self.stopping:
            raise stopping()
        if self.inside >= self._most:
            raise ApiError(429, f"{self.inside} requests are inside already; come again.", code="rate_limit_exceeded")

    def _begin(self, work: Callable[..., R], *given: object) -> "Future[R]":
        future = self._worker.submit(work, *given)
        self._begun.add(future)
        future.add_done_callback(self._begun.discard)
        return future


class Turn:
    """One answer in the making, as an asynchronous iterator. Closing it stops the model before its next token."""

    def __init__(self, inside: set[Callable[[], object]], closed: threading.Event, watch: Callable[[Delta], None]):
        self._inside = inside
        self._watch = watch
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._drawn: asyncio.Queue[Delta | Exception] = asyncio.Queue()
        self._left = threading.Event()
        self._finished = False
        inside.add(self._end)

    def _end(self) -> None:
        self._drawn.put_nowait(stopping())

    def draw(self, deltas: Deltas) -> None:
        """Runs on the model's thread."""
        try:
            while not (self._left.is_set() or self._closed.is_set()):
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
        self._left.set()
        self._inside.discard(self._end)


def stopping() -> ApiError:
    return ApiError(503, "The server is shutting down.", code="shutting_down")


def told(problem: Exception) -> ApiError:
    """What a client learns of an error."""
    if isinstance(problem, ApiError):
        return problem
    if isinstance(problem, UserError):
        return refusal(problem)
    log.error("drawing an answer failed", exc_info=problem)
    return ApiError(500, FAILED, code="internal_error")
