"""The bodies of answers, in OpenAI's shapes.

Beyond OpenAI's: `reasoning_content` beside `content`, and `notice` in a choice: what a person must be told of an
answer that is cut off or empty.
"""

import base64
import json
import struct
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from underdog.generate.interface import Scored
from underdog.generate.session import Answer, Delta, Finish, Model
from underdog.tokens.messages import ToolCall

ScoredTokens = Sequence[tuple[Scored, tuple[Scored, ...]]]


@dataclass
class Reply:
    """The parts that all bodies of one chat's reply share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    calls: int = 0  # that were streamed so far

    def whole(self, answer: Answer) -> dict[str, Any]:
        said = answer.message
        message: dict[str, Any] = {"role": "assistant", "content": said.content}
        if said.reasoning:
            message["reasoning_content"] = said.reasoning
        if said.tool_calls:
            message |= {"content": said.content or None, "tool_calls": [_call(call) for call in said.tool_calls]}
        choice = {"index": 0, "message": message, "logprobs": _logprobs(answer.scored), **_ending(answer.finish)}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage(answer.finish)}

    def opening(self) -> dict[str, Any] | None:
        return self._chunk({"role": "assistant", "content": ""})

    def chunk(self, delta: Delta) -> dict[str, Any] | None:
        """The chunk for a delta, or None where the delta brought nothing."""
        texts = {"reasoning_content": delta.reasoning, "content": delta.content}
        said: dict[str, Any] = {name: text for name, text in texts.items() if text}
        if delta.calls:
            said["tool_calls"] = [{"index": self.calls + i, **_call(call)} for i, call in enumerate(delta.calls)]
            self.calls += len(delta.calls)
        return self._chunk(said, delta) if said or delta.finish or delta.scored else None

    def usage_chunk(self, finish: Finish) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage(finish)}

    def _chunk(self, said: dict[str, Any], delta: Delta | None = None) -> dict[str, Any]:
        ending = _ending(delta.finish) if delta and delta.finish else {"finish_reason": None}
        choice = {"index": 0, "delta": said, "logprobs": _logprobs(delta.scored) if delta else None, **ending}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


@dataclass
class Continuation:
    """The same for a continued text."""

    model: str
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer) -> dict[str, Any]:
        return {**self._body(answer.message.content, answer.scored, answer.finish), "usage": usage(answer.finish)}

    def opening(self) -> None:
        return None

    def chunk(self, delta: Delta) -> dict[str, Any] | None:
        said = delta.content or delta.finish or delta.scored
        return self._body(delta.content, delta.scored, delta.finish) if said else None

    def usage_chunk(self, finish: Finish) -> dict[str, Any]:
        return {**self._body("", (), None), "choices": [], "usage": usage(finish)}

    def _body(self, text: str, scored: ScoredTokens, finish: Finish | None) -> dict[str, Any]:
        ending = _ending(finish) if finish else {"finish_reason": None}
        choice = {"index": 0, "text": text, "logprobs": _old_logprobs(scored), **ending}
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
        }


def usage(finish: Finish) -> dict[str, Any]:
    return {
        "prompt_tokens": finish.prompt_tokens,
        "completion_tokens": finish.new_tokens,
        "total_tokens": finish.prompt_tokens + finish.new_tokens,
        "prompt_tokens_details": {"cached_tokens": finish.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": finish.reasoning_tokens},
    }


def embeddings(model: str, vectors: Sequence[Sequence[float]], tokens: int, packed: bool) -> dict[str, Any]:
    """`packed`: little-endian 32-bit floats in base64, as OpenAI's client asks for them."""
    data = [
        {"object": "embedding", "index": i, "embedding": _packed(vector) if packed else vector}
        for i, vector in enumerate(vectors)
    ]
    used = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": used}


def model_card(served: Model, created: int) -> dict[str, Any]:
    return {
        "id": served.name,
        "object": "model",
        "created": created,
        "owned_by": "underdog",
        "context_length": served.context,
    }


def event(body: dict[str, Any] | str) -> str:
    """A server-sent event. ASCII: some clients break lines at U+2028 and its like."""
    return f"data: {body if isinstance(body, str) else json.dumps(body)}\n\n"


def _ending(finish: Finish) -> dict[str, str]:
    notice = {"notice": finish.notice} if finish.notice else {}
    return {"finish_reason": finish.ending.value, **notice}


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _logprobs(scored: ScoredTokens) -> dict[str, Any] | None:
    if not scored:
        return None
    return {"content": [{**_token(one), "top_logprobs": [_token(other) for other in top]} for one, top in scored]}


def _token(one: Scored) -> dict[str, Any]:
    return {"token": _text(one), "logprob": one.logprob, "bytes": list(one.data)}


def _old_logprobs(scored: ScoredTokens) -> dict[str, Any] | None:
    if not scored:
        return None
    return {
        "tokens": [_text(one) for one, _ in scored],
        "token_logprobs": [one.logprob for one, _ in scored],
        "top_logprobs": [{_text(other): other.logprob for other in top} for _, top in scored],
    }


def _text(one: Scored) -> str:
    return one.data.decode(errors="replace")


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
