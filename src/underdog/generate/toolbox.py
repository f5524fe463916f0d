"""A loop that calls the user's Python functions when the model asks for them, until it answers.

    def weather(city: Literal["Rome", "Oslo"], days: int = 1) -> str:
        "The weather of a city."

    converse(model, [Message("user", "…")], Toolbox([weather]))

The schema of a function comes from its signature, the description from its docstring. Arguments are checked against the
signature before the function is called; what goes wrong in it is told to the model, which may do better.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pydantic import ValidationError, create_model

from underdog.errors import UserError, did_you_mean
from underdog.generate.options import Options
from underdog.generate.session import Model, collect
from underdog.generate.tools import Offer
from underdog.tokens.messages import Message, ToolCall


class Tools(Protocol):
    """What a loop may call: functions here (`Toolbox`) or an MCP server (`mcp_server.McpServer`)."""

    def tools(self) -> tuple[Mapping[str, Any], ...]: ...
    def call(self, call: ToolCall) -> Message: ...


class Toolbox:
    """Functions by name.

    Raises:
        UserError: two have the same name, or a parameter has no type or cannot be named.
    """

    def __init__(self, functions: Sequence[Callable[..., Any]]):
        self._functions = {function.__name__: function for function in functions}
        if len(self._functions) != len(functions):
            raise UserError("Two functions have the same name.")
        self._arguments = {name: _arguments(function) for name, function in self._functions.items()}

    def tools(self) -> tuple[Mapping[str, Any], ...]:
        """As OpenAI's API writes them."""
        return tuple(
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": inspect.getdoc(function) or "",
                    "parameters": {**self._arguments[name].model_json_schema(), "additionalProperties": False},
                },
            }
            for name, function in self._functions.items()
        )

    def call(self, call: ToolCall) -> Message:
        """What the function gives back, as the tool's message; a mistake is told in its place."""
        if call.name not in self._functions:
            said = f"error: there is no function {call.name}. {did_you_mean(call.name, self._functions)}"
        else:
            try:
                given = self._arguments[call.name].model_validate(dict(call.arguments))
                result = self._functions[call.name](**{name: getattr(given, name) for name in type(given).model_fields})
                said = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)
            except ValidationError as problem:
                wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problem.errors())
                said = f"error: {'; '.join(wrong)}"
            except Exception as problem:  # the function is the user's: the loop outlives it
                said = f"error: {type(problem).__name__}: {problem}"
        return Message("tool", said, tool_call_id=call.id, name=call.name)


def converse(
    model: Model, messages: Sequence[Message], toolbox: Tools, options: Options | None = None, most: int = 8
) -> list[Message]:
    """The turns up to the model's answer: calls, results, and the answer at the end.

    Raises:
        UserError: after `most` rounds of calls there is no answer yet.
    """
    options = replace(options or Options(), offer=Offer(toolbox.tools()))
    turns: list[Message] = []
    for _ in range(most):
        said = collect(model.reply([*messages, *turns], options)).message
        turns.append(said)
        if not said.tool_calls:
            return turns
        turns += [toolbox.call(call) for call in said.tool_calls]
    raise UserError(
        f"There is no answer after {most} rounds of calls.", hint="Raise the limit, or ask for less at once."
    )


def _arguments(function: Callable[..., Any]) -> Any:
    """A pydantic model of a function's parameters."""
    fields: dict[str, Any] = {}
    signature = inspect.signature(function, eval_str=True)
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UserError(f"{function.__name__}: {parameter} cannot be given by name.")
        if parameter.annotation is parameter.empty:
            raise UserError(f"{function.__name__}: {name} has no type.")
        fields[name] = (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(f"{function.__name__}_arguments", **fields)
