"""Reading the body of a request. Nothing is ignored silently: what is not served is refused by its name."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from underdog.errors import nearest
from underdog.serve.errors import ApiError

BODY_LIMIT = 2 * 2**20  # bytes


class Strict(BaseModel):
    """A part of a body: unknown fields and other types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Body(Strict):
    """A whole body. `neutral`: fields of OpenAI's and of other servers that this one lacks, each with the value that
    asks for nothing; a field that is null, or that has this value, counts as not said."""

    neutral: ClassVar[Mapping[str, Any]] = {}


B = TypeVar("B", bound=Body)


async def read_body(request: Request, kind: type[B], limit: int = BODY_LIMIT) -> B:
    """Reads and checks the body.

    Raises:
        ApiError: it is not JSON, too large, or asks for something that is not served.
    """
    said_kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said_kind != "application/json":  # also keeps other sites' pages from posting without the browser's asking
        raise ApiError(415, f'The Content-Type must be application/json, not "{said_kind}".')
    try:
        said = from_json(await _bytes(request, limit), allow_inf_nan=False)
    except ValueError as problem:
        raise ApiError(400, f"The body is not valid JSON: {problem}.") from None
    if not isinstance(said, dict):
        raise ApiError(400, "The body must be a JSON object.")
    try:
        return kind.model_validate(_said(said, kind.neutral))
    except ValidationError as problem:
        raise _refusal(problem, kind) from None


async def _bytes(request: Request, limit: int) -> bytes:
    """The body, if it is not too large. One that is gets read to its end, within reason: a client that is still
    sending would miss the answer."""
    kept, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                kept.append(chunk)
            elif size > 16 * limit:
                break
    except ClientDisconnect:
        raise ApiError(499, "The client hung up.") from None
    if size > limit:
        raise ApiError(413, f"The body is larger than {limit:,} bytes.", code="request_too_large")
    return b"".join(kept)


def _said(body: dict[str, Any], neutral: Mapping[str, Any]) -> dict[str, Any]:
    """The body without what is null or asks for nothing."""
    said = {
        name: value for name, value in body.items() if value is not None and not _asks_nothing(name, value, neutral)
    }
    if isinstance(messages := said.get("messages"), list):
        said["messages"] = [
            {name: value for name, value in message.items() if value is not None}
            if isinstance(message, dict)
            else message
            for message in messages
        ]
    return said


def _asks_nothing(name: str, value: Any, neutral: Mapping[str, Any]) -> bool:
    nothing = neutral.get(name)
    return value == nothing and isinstance(value, bool) == isinstance(nothing, bool)


def _refusal(problem: ValidationError, kind: type[Body]) -> ApiError:
    """Names every field at fault; `param` and `code` are those of the first."""
    refusals = [_explain(error, kind) for error in problem.errors(include_url=False, include_context=False)]
    message = " ".join(message for message, _, _ in refusals[:8])
    return ApiError(400, message, param=refusals[0][1], code=refusals[0][2])


def _explain(error: dict[str, Any], kind: type[Body]) -> tuple[str, str, str]:
    """(message, field, code) of one of pydantic's errors."""
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"]).removeprefix(".")
    if error["type"] == "missing":
        return f"{field} is missing.", field, "missing_required_parameter"
    if error["type"] != "extra_forbidden":
        return f"{field}: {error['msg']}.", field, "invalid_value"
    if field in kind.neutral:
        return f"{field} is not supported by this server.", field, "unsupported_parameter"
    guess = nearest(field, kind.model_fields)
    return f"Unknown parameter {field}." + (f" Did you mean {guess}?" if guess else ""), field, "unknown_parameter"
