"""A conversation: the type that problems, demonstrations, training and serving share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class ToolCall:
    """A function that an assistant wants to be called."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None  # the tool's message refers to it, where a family's template writes ids


@dataclass(frozen=True)
class Message:
    """One turn. `reasoning` is what an assistant thought before `content`; None when it did not think, "" where it was
    told not to."""

    role: Role
    content: str
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None  # of a tool's result: the call that it answers
    name: str | None = None  # of a tool's result: the function
    trained: bool = True  # whether SFT teaches this turn; one that is not taught still stands in the context


@dataclass(frozen=True)
class Conversation:
    """Messages, and the functions that the assistant was offered (JSON Schemas as OpenAI's API writes them)."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    domain: str = ""  # what budgets by domain go by
    where: str = ""  # file and line
    problem: str = ""  # id of the problem that it answers, where it is one's


def as_json(message: Message) -> dict[str, Any]:
    """The message as OpenAI's API and chat templates write it."""
    record: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning is not None:
        record["reasoning_content"] = message.reasoning
    if message.tool_calls:
        record["tool_calls"] = [_call_as_json(call) for call in message.tool_calls]
    for key in ("tool_call_id", "name"):
        if (value := getattr(message, key)) is not None:
            record[key] = value
    return record


def _call_as_json(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": dict(call.arguments)}
    return {"type": "function", "function": function, **({"id": call.id} if call.id else {})}


def check(messages: Sequence[Message]) -> None:
    """Refuses what no sampler could have seen, and answers that would teach silence.

    Raises:
        ValueError: says which turn is wrong (the first is turn 1), and how.
    """
    open_calls = 0
    for number, message in enumerate(messages, start=1):
        if message.role == "tool":
            if not open_calls:
                raise ValueError(f"turn {number} is a tool's result, and no call came before it")
            open_calls -= 1
            continue
        open_calls = len(message.tool_calls)
        if message.tool_calls and message.role != "assistant":
            raise ValueError(f"turn {number} calls a tool, and it is the {message.role}'s")
        said = message.content.strip() or message.reasoning or message.tool_calls
        if message.role == "assistant" and message.trained and not said:
            raise ValueError(f"turn {number} is the assistant's and says nothing")
        if message.role == "assistant" and message.content.count("<think>") != message.content.count("</think>"):
            raise ValueError(f"turn {number} opens or closes <think> and not both")
        if message.role == "system" and number > 1:
            raise ValueError(f"turn {number} is the system's, which only the first turn may be")
    if not any(message.role == "assistant" for message in messages):
        raise ValueError("no turn is the assistant's")
