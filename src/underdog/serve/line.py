"""The line before the model: one answer at a time, first come, first served."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

from underdog.generate.session import Delta, Deltas
from underdog.serve.errors import FAILED, ApiError

log = logging.getLogger(__name__)


class Line:
    """Draws answers on a thread of its own, so that the server stays responsive and a client that reads slowly
    does not hold up the others."""

    def __init__(self):
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._closed = threading.Event()

    async def run(self, deltas: Deltas) -> AsyncGenerator[Delta, None]:
        """The deltas, once it is their turn. Closing the generator stops the model before its next token.

        Raises:
            ApiError: the line was closed before the answer was finished, or drawing it failed.
        """
        loop = asyncio.get_running_loop()
        drawn: asyncio.Queue[Delta | Exception] = asyncio.Queue()
        left = threading.Event()

        def tell(item: Delta | Exception) -> None:
            if not left.is_set():
                loop.call_soon_threadsafe(drawn.put_nowait, item)

        def draw() -> None:
            try:
                while not left.is_set():
                    if self._closed.is_set():
                        raise ApiError(503, "The server is shutting down.", code="shutting_down")
                    delta = next(deltas)
                    tell(delta)
                    if delta.finish:
                        break
            except Exception as problem:
                tell(problem)
            finally:
                deltas.close()

        self._worker.submit(draw)
        try:
            while True:
                item = await drawn.get()
                if isinstance(item, ApiError):
                    raise item
                if isinstance(item, Exception):
                    log.error("drawing an answer failed", exc_info=item)
                    raise ApiError(500, FAILED, code="internal_error") from item
                yield item
                if item.finish:
                    return
        finally:
            left.set()

    def close(self) -> None:
        """Ends the answer that is being drawn, and refuses those that wait."""
        self._closed.set()
