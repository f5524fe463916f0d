"""A model behind an OpenAI-compatible address: vLLM, SGLang, Ollama, LM Studio, llama.cpp's server, hosted ones, ours.

The server renders, draws and reads; here its words become deltas. What its API has no word for is refused by name.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from underdog.errors import UserError, did_you_mean, extra
from underdog.generate.interface import Capabilities, Ending, Scored
from underdog.generate.options import ContextFull, OptionError, Options
from underdog.generate.session import Delta, Deltas, Finish
from underdog.tokens.messages import Message, ToolCall, as_json

if TYPE_CHECKING:
    import httpx

PARALLEL = 16  # requests at once
TIMEOUT = 600.0  # seconds without a word from the server

# Options that OpenAI's API, or those servers which go beyond it, give the same names.
SHARED = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed",
    "thinking_budget",
)  # fmt: skip
TOO_LONG = "context_length_exceeded"  # OpenAI's code for it
ENDINGS = {"length": Ending.TRUNCATED, "tool_calls": Ending.CALLED}


class ServerError(UserError):
    """The server failed or refused; `status` is HTTP's: 408 where it was silent for too long, 0 where it broke off."""

    def __init__(self, message: str, status: int = 0):
        super().__init__(message)
        self.status = status


class Remote:
    """See `session.Model`."""

    capabilities = Capabilities(score=False, parallel=PARALLEL)
    context = None

    def __init__(self, address: str, name: str | None = None, key: str | None = None):
        """`address` ends in the path of the API, mostly /v1. Without `name` the server's only model is taken.

        Raises:
            UserError: the server does not answer, or has no such model.
        """
        self._address = address.rstrip("/")
        self._http = _client(key)
        models = self._models()
        if name is None and len(models) != 1:
            raise UserError(
                f"{address} has {len(models)} models: {', '.join(models[:8])}.", hint=f"Say which: {address}#NAME"
            )
        if name is not None and models and name not in models:
            raise UserError(f'{address} has no model "{name}".', hint=did_you_mean(name, models))
        self.name = name or models[0]

    def wait(self, seconds: float) -> None:
        """How long the server may be silent from now on."""
        self._http.timeout = _timeout(seconds)

    def reply(self, messages: Sequence[Message], options: Options | None = None) -> Deltas:
        if not messages or messages[-1].role not in ("user", "tool"):
            raise OptionError("messages", "The last message must be the user's.")
        options = options or Options()
        body: dict[str, Any] = {"messages": [_written(message) for message in messages], **_body(options)}
        if options.max_new_tokens:
            body["max_completion_tokens"] = options.max_new_tokens
        if options.alternatives is not None:
            body |= {"logprobs": True, "top_logprobs": options.alternatives}
        if options.structure:
            body["response_format"] = _format(options)
        if options.offer and options.offer.shown:
            body |= _tools(options)
        if options.thinking is not None:
            body["chat_template_kwargs"] = {"enable_thinking": options.thinking}
        return self._stream("/chat/completions", body)

    def complete(self, text: str, options: Options | None = None, suffix: str | None = None) -> Deltas:
        options = options or Options()
        if options.structure or options.alternatives is not None:
            raise OptionError("structure", "Completions of a server elsewhere have no structure and no logprobs here.")
        body = {"prompt": text, **_body(options), "max_tokens": options.max_new_tokens or 256}
        if suffix:
            body["suffix"] = suffix
        return self._stream("/completions", body)

    def score(self, messages: Sequence[Message], answers: Sequence[str]) -> list[float]:
        raise OptionError("score", "A server of OpenAI's API does not score given answers: use a local model.")

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        body = {"model": self.name, "input": list(texts)}
        url = f"{self._address}/embeddings"
        with _told(url):
            said = self._json(self._http.post(url, json=body))
        return [one["embedding"] for one in said["data"]], said.get("usage", {}).get("prompt_tokens", 0)

    def close(self) -> None:
        self._http.close()

    def _models(self) -> list[str]:
        import httpx

        url = f"{self._address}/models"
        try:
            return [model["id"] for model in self._json(self._http.get(url)).get("data", [])]
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:
            raise UserError(
                f"{url} does not answer: {problem}.", hint="Is the server running, and the address right?"
            ) from None

    def _stream(self, path: str, body: dict[str, Any]) -> Deltas:
        body = {"model": self.name, "stream": True, "stream_options": {"include_usage": True}, **body}
        return self._deltas(f"{self._address}{path}", body)

    def _deltas(self, url: str, body: dict[str, Any]) -> Deltas:
        calls: dict[int, dict[str, str]] = {}
        usage: dict[str, Any] = {}
        reason, notice, drawn = None, None, 0
        with _told(url), self._http.stream("POST", url, json=body) as response:
            if response.status_code != 200:
                response.read()
                self._json(response)
            with closing(_events(response)) as events:
                for chunk in events:
                    usage = chunk.get("usage") or usage
                    for choice in chunk.get("choices", ()):
                        drawn += 1
                        reason, notice = choice.get("finish_reason") or reason, choice.get("notice") or notice
                        _gather(calls, (choice.get("delta") or {}).get("tool_calls") or ())
                        yield _delta(choice)
        if reason is None:
            raise ServerError(f"{url} broke off in the middle of an answer.")
        details = usage.get("completion_tokens_details") or {}
        finish = Finish(
            ENDINGS.get(reason, Ending.STOPPED),
            usage.get("prompt_tokens", 0),
            usage.get("completion_tokens", drawn),
            details.get("reasoning_tokens") or 0,
            notice,
        )
        yield Delta(finish=finish, calls=tuple(_call(said) for said in calls.values()))

    def _json(self, response: "httpx.Response") -> dict[str, Any]:
        try:
            said = response.json()
        except ValueError:
            raise ServerError(
                f"{response.url} answers {response.status_code}, and no JSON.", response.status_code
            ) from None
        if response.status_code == 200 and isinstance(said, dict):
            return said
        error = said.get("error", said) if isinstance(said, dict) else said
        words = error.get("message") if isinstance(error, dict) else error
        option = error.get("param") if isinstance(error, dict) else None
        if response.status_code == 400 and isinstance(error, dict) and error.get("code") == TOO_LONG:
            raise ContextFull(option or "messages", str(words))
        if response.status_code == 400 and option:
            raise OptionError(option, str(words))
        raise ServerError(f"{response.url} answers {response.status_code}: {words}", response.status_code)


def _client(key: str | None) -> "httpx.Client":
    with extra("http", "A server elsewhere"):
        import httpx
    headers = {"Authorization": f"Bearer {key}".encode()} if key else {}
    return httpx.Client(timeout=_timeout(TIMEOUT), headers=headers)


def _timeout(seconds: float) -> "httpx.Timeout":
    import httpx

    return httpx.Timeout(seconds, connect=min(seconds, 10))


@contextmanager
def _told(url: str) -> Iterator[None]:
    """A connection that fails is a ServerError."""
    import httpx

    try:
        yield
    except httpx.TimeoutException:
        raise ServerError(f"{url} timed out.", 408) from None
    except httpx.HTTPError as problem:
        raise ServerError(f"{url} broke off: {problem}.") from None


def _body(options: Options) -> dict[str, Any]:
    body: dict[str, Any] = {name: value for name in SHARED if (value := getattr(options, name)) is not None}
    if options.stop:
        body["stop"] = list(options.stop)
    if options.bias:
        body["logit_bias"] = {str(token): value for token, value in options.bias.items()}
    return body


def _format(options: Options) -> dict[str, Any]:
    if options.structure.schema is None:
        raise OptionError("structure", "A server elsewhere takes a JSON Schema, no other structure.")
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": options.structure.schema},
    }


def _tools(options: Options) -> dict[str, Any]:
    choice: Any = options.offer.choice
    if choice not in ("auto", "required"):
        choice = {"type": "function", "function": {"name": choice}}
    body = {"tools": list(options.offer.tools), "tool_choice": choice}
    return body if options.offer.parallel else {**body, "parallel_tool_calls": False}


def _written(message: Message) -> dict[str, Any]:
    """As the API has it: arguments of a call are a string."""
    record = as_json(message)
    for call in record.get("tool_calls", ()):
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    return record


def _events(response: "httpx.Response") -> Generator[dict[str, Any], None, None]:
    for line in response.iter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        try:
            chunk = json.loads(data)
        except ValueError:
            raise ServerError(f"{response.url} sent a line that is no JSON: {data[:200]!r}.") from None
        if "error" in chunk:
            error = chunk["error"]
            raise ServerError(f"The server says: {error.get('message', error) if isinstance(error, dict) else error}")
        yield chunk


def _delta(choice: dict[str, Any]) -> Delta:
    delta = choice.get("delta") or {"content": choice.get("text")}
    scored = ()
    if said := (choice.get("logprobs") or {}).get("content"):
        scored = tuple((_scored(one), tuple(map(_scored, one.get("top_logprobs", ())))) for one in said)
    reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
    return Delta(reasoning, delta.get("content") or "", scored=scored)


def _scored(said: dict[str, Any]) -> Scored:
    data = bytes(said["bytes"]) if said.get("bytes") else said["token"].encode()
    return Scored(data, said["logprob"])


def _gather(calls: dict[int, dict[str, str]], parts: Sequence[dict[str, Any]]) -> None:
    """Puts the parts of calls together, which come one by one."""
    for part in parts:
        call = calls.setdefault(part.get("index", len(calls)), {"id": "", "name": "", "arguments": ""})
        function = part.get("function") or {}
        call["id"] = part.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def _call(said: dict[str, str]) -> ToolCall:
    try:
        arguments = json.loads(said["arguments"] or "{}")
    except ValueError:
        raise UserError(f"The server's model called {said['name']} with arguments that are not JSON.") from None
    return ToolCall(said["name"], arguments, said["id"] or None)
