"""The OpenAI-compatible API and the chat page, for one model."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from underdog.generate.session import Delta, Deltas, Model, collect
from underdog.serve.attended import attended, unless_gone
from underdog.serve.bodies import read_body
from underdog.serve.errors import ApiError, check_model, install_handlers, plainly
from underdog.serve.guard import Limits, install_guard
from underdog.serve.jobs import install_jobs
from underdog.serve.line import Line, Turn
from underdog.serve.metrics import Metrics, install_metrics
from underdog.serve.page import install_page
from underdog.serve.requests import ChatRequest, CompletionRequest, EmbeddingRequest, Sampled
from underdog.serve.responses import Continuation, Reply, embeddings, event, model_card
from underdog.serve.systemone import install_systemone

Form = Reply | Continuation


def create_app(served: Model, limits: Limits | None = None) -> FastAPI:
    """The application; `app.state.line` is the line before the model."""
    limits = limits or Limits()
    app = FastAPI(title="Underdog", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.line = line = Line(served.capabilities.parallel, limits.inside)
    metrics = Metrics(lambda: line.inside)
    card = model_card(served, created=int(time.time()))
    install_handlers(app)
    install_guard(app, limits)
    install_metrics(app, metrics)

    @app.post("/v1/chat/completions", response_model=None)
    async def chat_completions(request: Request) -> Response:
        asked = await read_body(request, ChatRequest, limits.body)
        return await answer(request, asked, Reply(served.name), lambda: _reply(served, asked))

    @app.post("/v1/completions", response_model=None)
    async def completions(request: Request) -> Response:
        asked = await read_body(request, CompletionRequest, limits.body)
        return await answer(
            request,
            asked,
            Continuation(served.name),
            lambda: served.complete(asked.prompt, asked.options(), asked.suffix),
        )

    @app.post("/v1/embeddings", response_model=None)
    async def embed(request: Request) -> dict[str, Any]:
        asked = await read_body(request, EmbeddingRequest, limits.body)
        check_model(asked.model, served)
        vectors, tokens = await attended(request, line, served, lambda model: model.embed(asked.input))
        return embeddings(served.name, vectors, tokens, asked.encoding_format == "base64")

    install_jobs(app, served, line, limits)
    install_systemone(app, served, line, limits)
    install_page(app)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [card]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        check_model(name, served)
        return card

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": served.name}

    @app.get("/metrics")
    async def read_metrics() -> Response:
        return metrics.page()

    async def answer(request: Request, asked: Sampled, form: Form, begin: Callable[[], Deltas]) -> Response:
        check_model(asked.model, served)
        start = time.monotonic()
        deltas = await asyncio.to_thread(plainly, begin, asked.spelling)  # nothing is drawn yet
        turn = line.run(deltas, metrics.watch(start))
        if asked.stream:
            return _Events(_events(turn, form, asked.include_usage), turn)
        async with aclosing(turn):
            return JSONResponse(form.whole(collect(await unless_gone(request, _gather(turn)))))

    return app


def _reply(served: Model, asked: ChatRequest) -> Deltas:
    return served.reply([message.message(i) for i, message in enumerate(asked.messages)], asked.options())


async def _gather(turn: Turn) -> list[Delta]:
    return [delta async for delta in turn]


async def _events(turn: Turn, form: Form, include_usage: bool) -> AsyncGenerator[str, None]:
    try:
        if opening := form.opening():
            yield event(opening)
        async for delta in turn:
            if chunk := form.chunk(delta):
                yield event(chunk)
        if include_usage:
            yield event(form.usage_chunk(delta.finish))
        yield event("[DONE]")
    except ApiError as problem:  # the answer has begun: there is no other status to send
        yield event(problem.body)


class _Events(StreamingResponse):
    """Server-sent events whose turn is over at once when the client hangs up, even before the first of them."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None], turn: Turn):
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events = events
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._turn), aclosing(self._events):
            await super().__call__(scope, receive, send)
