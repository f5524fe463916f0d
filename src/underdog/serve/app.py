"""The OpenAI-compatible API and the chat page, for one model."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from importlib.resources import files
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from underdog.generate.options import ContextFull, OptionError
from underdog.generate.session import Deltas, Model, collect
from underdog.serve.errors import ApiError, install_handlers
from underdog.serve.line import Line
from underdog.serve.requests import ChatRequest, read_request
from underdog.serve.responses import Reply, event, model_card

T = TypeVar("T")

PAGE = files("underdog.serve") / "page.html"
PAGE_RULES = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(served: Model) -> FastAPI:
    """The application; `app.state.line` is the line before the model."""
    app = FastAPI(title="Underdog", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.line = line = Line()
    card = model_card(served, created=int(time.time()))
    page = PAGE.read_text(encoding="utf-8")
    install_handlers(app)

    @app.post("/v1/chat/completions", response_model=None)
    async def chat_completions(request: Request) -> Response:
        asked = await read_request(request)
        _check_model(asked.model, served)
        deltas = await asyncio.to_thread(_reply, served, asked)
        reply = Reply(served.name)
        if asked.stream:
            return _Events(
                _events(line, deltas, reply, bool(asked.stream_options and asked.stream_options.include_usage))
            )
        answer = await _unless_gone(request, _gather(line, deltas))
        return JSONResponse(reply.completion(collect(answer)))

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [card]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        _check_model(name, served)
        return card

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": served.name}

    @app.get("/")
    async def chat_page() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": PAGE_RULES, "Referrer-Policy": "no-referrer"})

    return app


def _check_model(name: str, served: Model) -> None:
    if name != served.name:
        raise ApiError(
            404, f'There is no model "{name}" here; this is "{served.name}".', param="model", code="model_not_found"
        )


def _reply(served: Model, asked: ChatRequest) -> Deltas:
    """Starts a reply; nothing is drawn yet."""
    try:
        return served.reply([message.message() for message in asked.messages], asked.options())
    except OptionError as problem:
        code = "context_length_exceeded" if isinstance(problem, ContextFull) else "invalid_value"
        message = f"{problem} {problem.hint or ''}".strip()
        raise ApiError(400, message, param=asked.spelling(problem.option), code=code) from None


async def _gather(line: Line, deltas: Deltas) -> list:
    async with aclosing(line.run(deltas)) as drawn:
        return [delta async for delta in drawn]


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
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


async def _events(line: Line, deltas: Deltas, reply: Reply, include_usage: bool) -> AsyncGenerator[str, None]:
    try:
        yield event(reply.opening())
        async with aclosing(line.run(deltas)) as drawn:
            async for delta in drawn:
                if chunk := reply.chunk(delta):
                    yield event(chunk)
        if include_usage:
            yield event(reply.usage_chunk(delta.finish))
        yield event("[DONE]")
    except ApiError as problem:  # the answer has begun: there is no other status to send
        yield event(problem.body)


class _Events(StreamingResponse):
    """Server-sent events whose source is closed at once when the client hangs up."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None]):
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)
