"""The bodies of answers, in OpenAI's shapes.

Beyond OpenAI's: `reasoning_content` beside `content`, and `notice` in a choice: what a person must be told of an
answer that is cut off or empty.
"""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from underdog.generate.session import Answer, Delta, Finish, Model


@dataclass(frozen=True)
class Reply:
    """The parts that all bodies of one reply share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, answer: Answer) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer.message.content}
        if answer.message.reasoning:
            message["reasoning_content"] = answer.message.reasoning
        choice = {"index": 0, "message": message, "logprobs": None, **_ending(answer.finish)}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage(answer.finish)}

    def opening(self) -> dict[str, Any]:
        return self._chunk({"role": "assistant", "content": ""})

    def chunk(self, delta: Delta) -> dict[str, Any] | None:
        """The chunk for a delta, or None where the delta brought nothing."""
        texts = {"reasoning_content": delta.reasoning, "content": delta.content}
        said = {name: text for name, text in texts.items() if text}
        return self._chunk(said, delta.finish) if said or delta.finish else None

    def usage_chunk(self, finish: Finish) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage(finish)}

    def _chunk(self, delta: dict[str, str], finish: Finish | None = None) -> dict[str, Any]:
        ending = _ending(finish) if finish else {"finish_reason": None}
        choice = {"index": 0, "delta": delta, "logprobs": None, **ending}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def usage(finish: Finish) -> dict[str, Any]:
    return {
        "prompt_tokens": finish.prompt_tokens,
        "completion_tokens": finish.new_tokens,
        "total_tokens": finish.prompt_tokens + finish.new_tokens,
        "completion_tokens_details": {"reasoning_tokens": finish.reasoning_tokens},
    }


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
