"""What Prometheus reads at /metrics."""

import time
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from underdog.generate.session import Delta

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    def __init__(self, inside: Callable[[], int]):
        """`inside` says how many requests are being drawn or wait."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = registry = CollectorRegistry()
        self.requests = Counter("underdog_requests", "Requests answered.", ["path", "status"], registry=registry)
        self.prompt_tokens = Counter("underdog_prompt_tokens", "Tokens of prompts.", registry=registry)
        self.new_tokens = Counter("underdog_new_tokens", "Tokens drawn.", registry=registry)
        self.first = Histogram(
            "underdog_first_token_seconds", "From a request to its first token.", buckets=SECONDS, registry=registry
        )
        self.whole = Histogram(
            "underdog_request_seconds", "From a request to its end.", buckets=SECONDS, registry=registry
        )
        Gauge("underdog_requests_inside", "Being drawn or waiting.", registry=registry).set_function(inside)

    def watch(self, start: float) -> Callable[[Delta], None]:
        """Counts the deltas of a request that came at `start` (seconds, monotonic)."""
        waiting = True

        def see(delta: Delta) -> None:
            nonlocal waiting
            if waiting and (delta.reasoning or delta.content or delta.calls or delta.finish):
                self.first.observe(time.monotonic() - start)
                waiting = False
            if delta.finish:
                self.prompt_tokens.inc(delta.finish.prompt_tokens)
                self.new_tokens.inc(delta.finish.new_tokens)

        return see

    def page(self) -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def install_metrics(app: FastAPI, metrics: Metrics) -> None:
    app.add_middleware(_Counted, metrics=metrics)


class _Counted:
    """Counts answers by path and status. Addresses that are not there share one name: anyone can invent more."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            route = scope.get("route")
            self._metrics.requests.labels(route.path if route else "elsewhere", str(status)).inc()
            self._metrics.whole.observe(time.monotonic() - start)
