"""Functions that a model may ask to be called: their grammar, and calls out of what it wrote.

A call is drawn under a grammar from the moment that the model opens one, so it is valid JSON that fits the function's
schema. The form is Hermes', which Qwen's, Nanbeige's and our own templates teach.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.generate.json_schema import equal_schema
from underdog.generate.reading import CALL, END_CALL
from underdog.generate.structure import Structure, StructureError, one_spelling
from underdog.tokens.messages import ToolCall

CHOICES = ("none", "auto", "required")


@dataclass(frozen=True)
class Offer:
    """Tools as OpenAI's API writes them, {"type": "function", "function": {"name", "description", "parameters"}}.

    Raises:
        StructureError: a function's parameters cannot be served; `field` says where.
        UserError: a name is missing, used twice, or not one of the tools.
    """

    tools: tuple[Mapping[str, Any], ...]
    choice: str = "auto"  # one of CHOICES, or the name of the function to call
    parallel: bool = True  # several calls in one turn

    def __post_init__(self):
        names = [tool["function"]["name"] for tool in self.tools]
        if doubled := next((name for name in names if names.count(name) > 1), None):
            raise UserError(f'Two tools are called "{doubled}".')
        if self.choice not in (*CHOICES, *names):
            raise UserError(f'There is no tool "{self.choice}" to call.', hint=did_you_mean(self.choice, names))
        if self.choice == "required" and not names:
            raise UserError("A call is required, and there are no tools.")
        for index, tool in enumerate(self.tools):
            try:
                Structure.json_schema(_parameters(tool))
            except StructureError as problem:
                field = f"tools[{index}].function.parameters"
                raise StructureError(f"{field}: {problem}", field) from None

    @property
    def shown(self) -> tuple[Mapping[str, Any], ...]:
        """What the prompt says of them: nothing where none may be called."""
        return () if self.choice == "none" else self.tools

    @property
    def forced(self) -> bool:
        return self.choice not in ("none", "auto")

    def rules(self) -> str:
        """A grammar whose rule `answer` is a turn with calls as the choice wants them."""
        named = [tool for tool in self.tools if self.choice in (*CHOICES, tool["function"]["name"])]
        calls = " | ".join(f"underdog_call_{index}" for index in range(len(named)))
        if self.forced:
            more = '("\\n" underdog_opened)*' if self.parallel else ""
            turn = f"answer: underdog_opened {more}\nunderdog_opened: {json.dumps(CALL)} underdog_call\n"
        else:
            turn = (  # where one call is all, the session ends the answer behind it: a thought may hold others
                "answer: underdog_open_call* UNDERDOG_TEXT\n"
                "underdog_open_call: underdog_until underdog_call\n"
                f"underdog_until[lazy]: UNDERDOG_TEXT {json.dumps(CALL)}\n"
                "UNDERDOG_TEXT: /(.|\\n)*/\n"
            )
        forms = "".join(_form(index, tool) for index, tool in enumerate(named))
        return f'{turn}underdog_call: "\\n" ({calls}) "\\n{END_CALL}"\n{forms}'


def read_call(text: str) -> ToolCall | None:
    """The call that stands between the marks; None where it is none."""
    try:
        said = json.loads(text)
        arguments = said["arguments"]
        name = said["name"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return ToolCall(name, arguments, f"call_{secrets.token_hex(12)}")


def _parameters(tool: Mapping[str, Any]) -> Any:
    return tool["function"].get("parameters") or {"type": "object", "properties": {}, "additionalProperties": False}


def _form(index: int, tool: Mapping[str, Any]) -> str:
    head = f'{{"name": {json.dumps(tool["function"]["name"])}, "arguments": '
    return (
        f"underdog_call_{index}: {json.dumps(head)} underdog_arguments_{index} {json.dumps('}')}\n"
        f"underdog_arguments_{index}: %json {json.dumps(one_spelling(equal_schema(_parameters(tool))))}\n"
    )
