"""Conversations as the field writes them: messages (OpenAI), ShareGPT, Alpaca, prompt and completion.

A row's keys say which it is. Reasoning stands in a field of its own or between `<think>` and `</think>`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from underdog.errors import nearest
from underdog.tokens.messages import Conversation, Message, Role, ToolCall, as_json, check

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
KEYS = ("messages", "conversations", "instruction", "prompt")
PROBLEM = "problem_id"
_REASONING = ("reasoning_content", "reasoning", "thinking")


def conversation(row: Any, domain: str = "", where: str = "") -> Conversation:
    """Reads one row; its own "domain" counts before the one given.

    Raises:
        ValueError: says what is wrong with it.
    """
    if not isinstance(row, Mapping):
        raise ValueError("it is not an object")
    _check_characters(row)
    key = next((key for key in KEYS if row.get(key) is not None), None)
    if key is None:
        near = next((f'; is "{guess}" meant?' for name in row if (guess := nearest(str(name), KEYS))), "")
        raise ValueError(f"it has none of {', '.join(KEYS)}{near}")
    messages = tuple(_FORMS[key](row))
    check(messages)
    domain, problem = _text(row.get("domain") or domain, "domain"), row.get(PROBLEM)
    own = problem if isinstance(problem, str) else ""  # others number their problems
    return Conversation(messages, _tools(row.get("tools")), domain, where, own)


def as_row(found: Conversation) -> dict[str, Any]:
    """A conversation as `conversation` reads it back, all but where it came from."""
    row: dict[str, Any] = {"messages": [_as_taught(message) for message in found.messages]}
    extra = {"tools": list(found.tools), "domain": found.domain, PROBLEM: found.problem}
    return row | {key: value for key, value in extra.items() if value}


def _as_taught(message: Message) -> dict[str, Any]:
    return as_json(message) if message.trained else {**as_json(message), "weight": 0}


def _of_messages(row: Mapping[str, Any]) -> list[Message]:
    return [_message(said, number) for number, said in enumerate(_list(row["messages"], "messages"), start=1)]


def _of_sharegpt(row: Mapping[str, Any]) -> list[Message]:
    said = _list(row["conversations"], "conversations")
    if said and isinstance(said[0], Mapping) and "role" in said[0]:
        return [_message(one, number) for number, one in enumerate(said, start=1)]
    opening = [Message("system", _text(row["system"], "system"))] if row.get("system") else []
    return opening + [_sharegpt_message(one, number) for number, one in enumerate(said, start=1)]


def _of_alpaca(row: Mapping[str, Any]) -> list[Message]:
    asked = "\n\n".join(filter(None, (_text_or_none(row.get(key), key) for key in ("instruction", "input"))))
    opening = [Message("system", _text(row["system"], "system"))] if row.get("system") else []
    earlier = [
        Message(role, _text(text, "history"))
        for pair in row.get("history") or []
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*opening, *earlier, Message("user", asked), _answer(_said(row, "output"))]


def _of_prompt(row: Mapping[str, Any]) -> list[Message]:
    """Of the prompt nothing is taught."""
    prompt, completion = row["prompt"], _said(row, "completion")
    before = [Message("user", prompt)] if isinstance(prompt, str) else _of_messages({"messages": prompt})
    before = [replace(one, trained=False) if one.role == "assistant" else one for one in before]
    after = [_answer(completion)] if isinstance(completion, str) else _of_messages({"messages": completion})
    return before + after


_FORMS = {"messages": _of_messages, "conversations": _of_sharegpt, "instruction": _of_alpaca, "prompt": _of_prompt}


def _message(said: Any, number: int) -> Message:
    """OpenAI's form. A weight of 0 keeps an assistant's turn in the context and out of the loss."""
    if not isinstance(said, Mapping):
        raise ValueError(f"turn {number} is not an object")
    role = _role(said.get("role"), number)
    reasoning = next((said[key] for key in _REASONING if isinstance(said.get(key), str)), None)
    old = said.get("function_call")  # what OpenAI had before tool_calls
    calls = tuple(_call(call, number) for call in said.get("tool_calls") or ([old] if old else []))
    content = _text_or_none(said.get("content"), f"turn {number}: content")
    if content is None and not calls and not reasoning:
        raise ValueError(f'turn {number} has no "content"')
    content = content or ""
    message = _answer(content) if role == "assistant" and reasoning is None else Message(role, content, reasoning)
    call_id, name = (said.get(key) for key in ("tool_call_id", "name"))
    return Message(role, message.content, message.reasoning, calls, call_id, name, said.get("weight") != 0)


def _sharegpt_message(said: Any, number: int) -> Message:
    if not isinstance(said, Mapping) or "from" not in said:
        raise ValueError(f'turn {number} has no "from"')
    role, value = _role(said["from"], number), _text(_said(said, "value"), f"turn {number}: value")
    if said["from"] == "function_call":
        found = Message(role, "", tool_calls=(_call(_json(value, number), number),))
    else:
        found = _answer(value) if role == "assistant" else Message(role, value)
    return replace(found, trained=said.get("weight") != 0)


def _answer(text: Any) -> Message:
    """An assistant's turn, its reasoning taken out of the text."""
    text = _text(text, "the answer")
    head, mark, rest = text.partition("</think>")
    if mark and head.lstrip().startswith("<think>") and "<think>" not in rest:
        return Message("assistant", rest.strip("\n"), head.lstrip().removeprefix("<think>").strip("\n"))
    return Message("assistant", text)


def _call(said: Any, number: int) -> ToolCall:
    function = said.get("function", said) if isinstance(said, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise ValueError(f"turn {number}: a tool call has no name")
    arguments = function.get("arguments")
    arguments = _json(arguments, number) if isinstance(arguments, str) else arguments or {}
    if not isinstance(arguments, Mapping):
        raise ValueError(f"turn {number}: the arguments of {function['name']} are not an object")
    return ToolCall(function["name"], {key: value for key, value in arguments.items()}, said.get("id"))


def _tools(said: Any) -> tuple[Mapping[str, Any], ...]:
    tools = _json(said, 0) if isinstance(said, str) and said else said or []
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise ValueError('"tools" is not a list of JSON Schemas')
    return tuple(tools)


def _role(name: Any, number: int) -> Role:
    if name not in ROLES:
        near = nearest(str(name), ROLES)
        raise ValueError(f'turn {number} has the unknown role "{name}"' + (f'; is "{near}" meant?' if near else ""))
    return ROLES[name]


def _said(row: Mapping[str, Any], key: str) -> Any:
    if row.get(key) is None:
        raise ValueError(f'"{key}" is missing')
    return row[key]


def _text(value: Any, what: str) -> str:
    """A text, or OpenAI's list of text parts."""
    if isinstance(value, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in value):
        value = "".join(part["text"] for part in value)
    if not isinstance(value, str):
        raise ValueError(f"{what} is not a text")
    return value


def _text_or_none(value: Any, what: str) -> str | None:
    return None if value is None else _text(value, what)


def _check_characters(row: Mapping[str, Any]) -> None:
    """JSON can spell half a character, which no tokenizer takes and no file can hold."""
    try:
        json.dumps(row, ensure_ascii=False, default=lambda other: None).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair (\\ud800 to \\udfff)") from None


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f'"{what}" is not a list')
    return value


def _json(text: str, number: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise ValueError(f"turn {number}: not valid JSON: {problem}" if number else f'"tools": {problem}') from None
