"""Work for a client that may leave: jobs, embeddings, questions about a state."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request

from underdog.generate.options import Options
from underdog.generate.session import Deltas, Model
from underdog.serve.errors import ApiError, plainly
from underdog.serve.line import Line
from underdog.tokens.messages import Message

T = TypeVar("T")


async def attended(request: Request, line: Line, served: Model, work: Callable[[Model], T]) -> T:
    """The result of the work, which ends when the client hangs up or the line is closed: at the model's next token,
    or before its next call."""
    return await unless_gone(
        request, line.call(lambda check: plainly(lambda: work(Attended(served, check)), spelling=str))
    )


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of the work, which is dropped as soon as the client hangs up."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ApiError(499, "The client hung up.")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


@dataclass(frozen=True)
class Attended:
    """A `session.Model` that calls `check` again and again, which raises once nobody waits any more."""

    model: Model
    check: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def reply(self, messages: Sequence[Message], options: Options | None = None) -> Deltas:
        return self._checked(self.model.reply(messages, options))

    def complete(self, text: str, options: Options | None = None, suffix: str | None = None) -> Deltas:
        return self._checked(self.model.complete(text, options, suffix))

    def score(self, messages: Sequence[Message], answers: Sequence[str]) -> list[float]:
        self.check()
        return self.model.score(messages, answers)

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """One text a call: between two of them the client may leave."""
        vectors, tokens = [], 0
        for text in texts:
            self.check()
            vector, count = self.model.embed([text])
            vectors += vector
            tokens += count
        return vectors, tokens

    def _checked(self, deltas: Deltas) -> Deltas:
        with closing(deltas):
            self.check()
            for delta in deltas:
                yield delta
                self.check()
