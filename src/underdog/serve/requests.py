"""What a client may ask for. Nothing is ignored silently: what is not served is refused by its name.

Accepted, as in OpenAI's chat completions: model, messages, temperature, top_p, max_tokens or
max_completion_tokens, seed, stop, stream, stream_options.include_usage, n = 1; also top_k (0 = all). user and
metadata are labels of the client's own and change nothing. A field that is null, or that asks for what happens
anyway (`NEUTRAL`), counts as not said.

A message has role (system, developer, user, assistant), content (text, or a list of text parts) and, from an
assistant, reasoning_content.
"""

from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from underdog.errors import nearest
from underdog.generate.options import Options
from underdog.serve.errors import ApiError
from underdog.tokens.messages import Message

BODY_LIMIT = 2 * 2**20  # bytes

# Fields of OpenAI's and of other servers that this one lacks, each with the value that asks for nothing.
NEUTRAL: dict[str, Any] = {
    "audio": None,
    "frequency_penalty": 0,
    "function_call": "none",
    "functions": [],
    "logit_bias": {},
    "logprobs": False,
    "min_p": 0,
    "modalities": ["text"],
    "parallel_tool_calls": None,
    "prediction": None,
    "presence_penalty": 0,
    "reasoning_effort": None,
    "repetition_penalty": 1,
    "response_format": {"type": "text"},
    "service_tier": None,
    "store": False,
    "tool_choice": "none",
    "tools": [],
    "top_logprobs": 0,
    "verbosity": None,
    "web_search_options": None,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _join_parts(content: Any) -> Any:
    """OpenAI's list of parts, as long as all of them are text."""
    if not isinstance(content, list):
        return content
    for part in content:
        if not isinstance(part, dict) or part.keys() != {"type", "text"} or part["type"] != "text":
            kind = part.get("type") if isinstance(part, dict) else part
            raise ValueError(f"a part is {kind!r}; only text parts are served")
    if not all(isinstance(part["text"], str) for part in content):
        raise ValueError("the text of a part is not a string")
    return "".join(part["text"] for part in content)


class ChatMessage(_Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_join_parts)]
    reasoning_content: str | None = None

    def message(self) -> Message:
        return Message("system" if self.role == "developer" else self.role, self.content, self.reasoning_content)


class StreamOptions(_Strict):
    include_usage: bool = False


class ChatRequest(_Strict):
    """The body of POST /v1/chat/completions."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    stop: Annotated[list[str], BeforeValidator(lambda stop: [stop] if isinstance(stop, str) else stop)] = []
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] = 1
    user: str | None = None
    metadata: dict[str, Any] | None = None

    def options(self) -> Options:
        return Options(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_new_tokens=self.max_completion_tokens or self.max_tokens,
            seed=self.seed,
            stop=tuple(self.stop),
        )

    def spelling(self, option: str) -> str:
        """How the client spelled one of our options."""
        if option != "max_new_tokens":
            return option
        return "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"


async def read_request(request: Request) -> ChatRequest:
    """Reads and checks the body.

    Raises:
        ApiError: it is not JSON, too large, or asks for something that is not served.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # also keeps other sites' pages from posting here without the browser's asking
        raise ApiError(415, f'The Content-Type must be application/json, not "{kind}".')
    try:
        said = from_json(await _body(request), allow_inf_nan=False)
    except ValueError as problem:
        raise ApiError(400, f"The body is not valid JSON: {problem}.") from None
    if not isinstance(said, dict):
        raise ApiError(400, "The body must be a JSON object.")
    try:
        asked = ChatRequest.model_validate(_said(said))
    except ValidationError as problem:
        raise _refusal(problem) from None
    if asked.stream_options and not asked.stream:
        raise ApiError(400, "stream_options needs stream = true.", param="stream_options")
    if asked.max_tokens and asked.max_completion_tokens and asked.max_tokens != asked.max_completion_tokens:
        raise ApiError(400, "max_tokens and max_completion_tokens differ: give one of them.", param="max_tokens")
    return asked


async def _body(request: Request) -> bytes:
    """The body, if it is not too large. One that is gets read to its end, within reason: a client that is still
    sending would miss the answer."""
    kept, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= BODY_LIMIT:
                kept.append(chunk)
            elif size > 16 * BODY_LIMIT:
                break
    except ClientDisconnect:
        raise ApiError(499, "The client hung up.") from None
    if size > BODY_LIMIT:
        raise ApiError(413, f"The body is larger than {BODY_LIMIT:,} bytes.", code="request_too_large")
    return b"".join(kept)


def _said(body: dict[str, Any]) -> dict[str, Any]:
    """The body without what is null or asks for nothing."""
    said = {name: value for name, value in body.items() if value is not None and not _neutral(name, value)}
    if isinstance(messages := said.get("messages"), list):
        said["messages"] = [
            {name: value for name, value in message.items() if value is not None}
            if isinstance(message, dict)
            else message
            for message in messages
        ]
    return said


def _neutral(name: str, value: Any) -> bool:
    neutral = NEUTRAL.get(name)
    return value == neutral and isinstance(value, bool) == isinstance(neutral, bool)


def _refusal(problem: ValidationError) -> ApiError:
    """Names every field at fault; `param` and `code` are those of the first."""
    refusals = [_explain(error) for error in problem.errors(include_url=False, include_context=False)]
    message = " ".join(message for message, _, _ in refusals[:8])
    return ApiError(400, message, param=refusals[0][1], code=refusals[0][2])


def _explain(error: dict[str, Any]) -> tuple[str, str, str]:
    """(message, field, code) of one of pydantic's errors."""
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"]).removeprefix(".")
    if error["type"] == "missing":
        return f"{field} is missing.", field, "missing_required_parameter"
    if error["type"] != "extra_forbidden":
        return f"{field}: {error['msg']}.", field, "invalid_value"
    if field in NEUTRAL:
        return f"{field} is not supported by this server.", field, "unsupported_parameter"
    guess = nearest(field, ChatRequest.model_fields)
    return f"Unknown parameter {field}." + (f" Did you mean {guess}?" if guess else ""), field, "unknown_parameter"
