"""The parts of a request: messages, tools, and forms of an answer, in OpenAI's words and vLLM's."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import from_json

from underdog.generate.structure import Structure
from underdog.serve.bodies import Strict
from underdog.serve.errors import ApiError
from underdog.tokens.messages import Message, ToolCall


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


class CalledFunction(Strict):
    name: str
    arguments: str

    def read(self, id_: str) -> ToolCall:
        try:
            arguments = from_json(self.arguments, allow_inf_nan=False)  # refuses what is too deep, and half characters
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise ApiError(400, f"The arguments of {self.name} are no JSON object.", param="messages")
        return ToolCall(self.name, arguments, id_)


class Call(Strict):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatMessage(Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, BeforeValidator(_join_parts)] = ""
    reasoning_content: str | None = None
    name: str | None = None
    tool_calls: list[Call] = Field(default_factory=list)
    tool_call_id: str | None = None

    def message(self, index: int) -> Message:
        """`index`: which of the messages it is."""
        if "content" not in self.model_fields_set and not self.tool_calls:
            where = f"messages[{index}].content"
            raise ApiError(400, f"{where} is missing.", param=where, code="missing_required_parameter")
        for name in ("reasoning_content", "tool_calls"):
            if getattr(self, name) and self.role != "assistant":
                where = f"messages[{index}].{name}"
                raise ApiError(400, f"{where}: only the assistant has {name}.", param=where)
        calls = tuple(call.function.read(call.id) for call in self.tool_calls)
        role = "system" if self.role == "developer" else self.role
        return Message(role, self.content, self.reasoning_content, calls, self.tool_call_id, self.name)


class StreamOptions(Strict):
    include_usage: bool = False


class Function(Strict):
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None  # all calls are held to their schemas


class Tool(Strict):
    type: Literal["function"]
    function: Function


class NamedFunction(Strict):
    name: str


class NamedTool(Strict):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Strict):
    name: str
    description: str | None = None
    schema_: dict[str, Any] | bool = Field(alias="schema")
    strict: bool | None = None  # always


class Format(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def structure(self) -> Structure | None:
        if self.json_schema and self.type != "json_schema":
            raise ApiError(400, f"response_format {self.type} has no json_schema.", param="response_format.json_schema")
        if self.type == "text":
            return None
        if self.type == "json_object":
            return Structure.json_object()
        if self.json_schema is None:
            raise ApiError(400, "response_format.json_schema is missing.", param="response_format.json_schema")
        return Structure.json_schema(self.json_schema.schema_)


class StructuredOutputs(Strict):
    """Exactly one of them, as in vLLM."""

    json_: dict[str, Any] | None = Field(None, alias="json")
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None

    def structure(self) -> Structure:
        names = ("json_", "regex", "choice", "grammar")
        said = [(name, value) for name in names if (value := getattr(self, name)) is not None]
        if len(said) != 1:
            raise ApiError(
                400, "structured_outputs takes one of json, regex, choice, grammar.", param="structured_outputs"
            )
        ((name, value),) = said
        return Structure.json_schema(value) if name == "json_" else getattr(Structure, name)(value)


class TemplateSettings(Strict):
    enable_thinking: bool | None = None
