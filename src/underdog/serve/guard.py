"""Who may ask, and from where."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from underdog.errors import UserError
from underdog.serve.bodies import BODY_LIMIT
from underdog.serve.errors import error_body
from underdog.serve.line import GRACE, MOST
from underdog.serve.page import HOME

OPEN = ("/", "/health")  # what needs no key, nor does the page's own code


@dataclass(frozen=True)
class Limits:
    """What a server allows.

    Raises:
        UserError: a key is empty or blank.
    """

    keys: tuple[str, ...] = ()  # one of them stands in `Authorization: Bearer …`; none: nobody is asked
    origins: tuple[str, ...] = ()  # of pages elsewhere whose scripts may ask (CORS)
    inside: int = MOST  # requests being drawn or waiting; who comes beyond them gets a 429
    body: int = BODY_LIMIT  # bytes
    grace: float = GRACE  # seconds that answers in progress get when the server stops

    def __post_init__(self):
        if not all(key.strip() for key in self.keys):
            raise UserError("An API key is empty: it would let everybody in.", hint="Is its variable set?")


def install_guard(app: FastAPI, limits: Limits) -> None:
    if limits.keys:
        app.add_middleware(Keys, keys=limits.keys)
    if limits.origins:
        app.add_middleware(CORSMiddleware, allow_origins=limits.origins, allow_methods=["*"], allow_headers=["*"])


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(HOME)


class Keys:
    """Turns away who brings no key."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]):
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(scope["path"]) or self._knows(dict(scope["headers"])):
            await self._app(scope, receive, send)
            return
        body = error_body(401, "A valid API key is needed: Authorization: Bearer KEY.", code="invalid_api_key")
        await JSONResponse(body, 401, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _knows(self, headers: dict[bytes, bytes]) -> bool:
        said = headers.get(b"authorization", b"")
        given = said[7:] if said[:7].lower() == b"bearer " else b""
        return any([hmac.compare_digest(given, key) for key in self._keys])  # all are compared: no timing to learn from
