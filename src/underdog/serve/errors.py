"""Errors as OpenAI's clients expect them: {"error": {"message", "type", "param", "code"}}."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from underdog.errors import UserError
from underdog.generate.options import ContextFull, OptionError
from underdog.generate.remote import ServerError
from underdog.generate.session import Model

T = TypeVar("T")
FAILED = "The server failed; its log says why."
BEHIND = {400: 400, 413: 400, 422: 400, 429: 429, 408: 504}
"""The status of a server behind this one, and what our client is told; of all others 502."""


class ApiError(Exception):
    """A refusal. `param` names the field at fault, `code` is for programs."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status = status
        self.body = error_body(status, message, param, code)


def error_body(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def install_handlers(app: FastAPI) -> None:
    """Gives every error of the app the one shape, unknown addresses and bugs included."""

    @app.exception_handler(ApiError)
    async def refused(request: Request, problem: ApiError) -> JSONResponse:
        return JSONResponse(problem.body, problem.status)

    @app.exception_handler(HTTPException)
    async def not_routed(request: Request, problem: HTTPException) -> JSONResponse:
        where = f"{request.method} {request.url.path}"
        message = {404: f"There is no {where} here.", 405: f"{where} is not allowed."}.get(problem.status_code)
        return JSONResponse(error_body(problem.status_code, message or problem.detail), problem.status_code)

    @app.exception_handler(Exception)
    async def failed(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse(error_body(500, FAILED, code="internal_error"), 500)


def check_model(name: str, served: Model) -> None:
    if name != served.name:
        raise ApiError(
            404, f'There is no model "{name}" here; this is "{served.name}".', param="model", code="model_not_found"
        )


def plainly(work: Callable[[], T], spelling: Callable[[str], str]) -> T:
    """Its result; what a person can mend becomes a 400 that names the field as the client spelled it."""
    try:
        return work()
    except UserError as problem:
        raise refusal(problem, spelling) from None


def refusal(problem: UserError, spelling: Callable[[str], str] = str) -> ApiError:
    """For what a person can mend, with the field at fault; for what a server behind this one failed in, a gateway's."""
    message = f"{problem} {problem.hint or ''}".strip()
    if isinstance(problem, ServerError):
        return ApiError(BEHIND.get(problem.status, 502), message, code="upstream_error")
    param = spelling(problem.option) if isinstance(problem, OptionError) else None
    code = "context_length_exceeded" if isinstance(problem, ContextFull) else "invalid_value"
    return ApiError(400, message, param=param, code=code)
