"""What a client may ask for, in OpenAI's words; beyond them, in those of vLLM: top_k, min_p, repetition_penalty,
structured_outputs, chat_template_kwargs.enable_thinking; and thinking_budget.

user and metadata are labels of the client's own and change nothing.
"""

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from underdog.errors import UserError
from underdog.generate.options import Options
from underdog.generate.structure import Structure, StructureError
from underdog.generate.tools import Offer
from underdog.serve.bodies import Body, Strict
from underdog.serve.errors import ApiError
from underdog.tokens.messages import Message, ToolCall

SAMPLED = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed",
)  # fmt: skip
Stop = Annotated[list[str], BeforeValidator(lambda stop: [stop] if isinstance(stop, str) else stop)]


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
            arguments = json.loads(self.arguments)
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
        said = [(name, value) for name in ("json_", "regex", "choice", "grammar") if (value := getattr(self, name))]
        if len(said) != 1:
            raise ApiError(
                400, "structured_outputs takes one of json, regex, choice, grammar.", param="structured_outputs"
            )
        ((name, value),) = said
        return Structure.json_schema(value) if name == "json_" else getattr(Structure, name)(value)


class TemplateSettings(Strict):
    enable_thinking: bool | None = None


class Sampled(Body):
    """What chats and completions share."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] = Field(default_factory=dict)
    max_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    stop: Stop = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions | None = None
    structured_outputs: StructuredOutputs | None = None
    n: Literal[1] = 1
    user: str | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def sampled(self) -> dict[str, Any]:
        """These as arguments of `Options`."""
        if self.stream_options and not self.stream:
            raise ApiError(400, "stream_options needs stream = true.", param="stream_options")
        try:
            bias = {int(token): value for token, value in self.logit_bias.items()}
        except ValueError:
            raise ApiError(400, "logit_bias goes from token ids to numbers.", param="logit_bias") from None
        return {**{name: getattr(self, name) for name in SAMPLED}, "stop": tuple(self.stop), "bias": bias}


class ChatRequest(Sampled):
    """The body of POST /v1/chat/completions."""

    neutral: ClassVar = {
        "audio": None, "function_call": "none", "functions": [], "modalities": ["text"], "prediction": None,
        "service_tier": None, "store": False, "verbosity": None, "web_search_options": None,
    }  # fmt: skip

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    response_format: Format | None = None
    tools: list[Tool] = Field(default_factory=list)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool = True
    reasoning_effort: Literal["none"] | None = None
    thinking_budget: int | None = None
    chat_template_kwargs: TemplateSettings = TemplateSettings()
    metadata: dict[str, Any] | None = None

    def options(self) -> Options:
        """Raises ApiError, StructureError or OptionError for what cannot be had together or at all."""
        tokens = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(tokens) > 1:
            raise ApiError(400, "max_tokens and max_completion_tokens differ: give one of them.", param="max_tokens")
        if self.top_logprobs and not self.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs = true.", param="top_logprobs")
        return Options(
            **self.sampled(),
            max_new_tokens=next(iter(tokens), None),
            alternatives=self.top_logprobs if self.logprobs else None,
            structure=self._structure(),
            offer=self._offer(),
            thinking=False if self.reasoning_effort == "none" else self.chat_template_kwargs.enable_thinking,
            thinking_budget=self.thinking_budget,
        )

    def _structure(self) -> Structure | None:
        if self.response_format and self.structured_outputs:
            raise ApiError(400, "response_format and structured_outputs: give one of them.", param="structured_outputs")
        asked = self.response_format or self.structured_outputs
        try:
            return asked.structure() if asked else None
        except StructureError as problem:
            where = "response_format.json_schema.schema" if self.response_format else "structured_outputs"
            field = (problem.field or "").removeprefix("$")
            raise ApiError(400, str(problem), param=where + field, code="unsupported_schema") from None

    def _offer(self) -> Offer | None:
        if not self.tools:
            if self.tool_choice in (None, "none", "auto"):
                return None
            raise ApiError(400, "tool_choice asks for a call, and there are no tools.", param="tool_choice")
        choice = (
            self.tool_choice.function.name if isinstance(self.tool_choice, NamedTool) else self.tool_choice or "auto"
        )
        tools = tuple(tool.model_dump(exclude_unset=True) for tool in self.tools)
        try:
            return Offer(tools, choice, self.parallel_tool_calls)
        except StructureError as problem:
            raise ApiError(400, str(problem), param=problem.field, code="unsupported_schema") from None
        except UserError as problem:
            message = f"{problem} {problem.hint or ''}".strip()
            raise ApiError(400, message, param="tool_choice" if "no tool" in message else "tools") from None

    def spelling(self, option: str) -> str:
        """How the client spelled one of our options."""
        names = {"bias": "logit_bias", "alternatives": "top_logprobs", "structure": "response_format", "offer": "tools"}
        names["max_new_tokens"] = "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"
        return names.get(option, option)


class CompletionRequest(Sampled):
    """The body of POST /v1/completions."""

    neutral: ClassVar = {"best_of": 1, "echo": False}

    prompt: Annotated[str, BeforeValidator(lambda said: said[0] if isinstance(said, list) and len(said) == 1 else said)]
    suffix: str | None = None  # then what stands between the two is asked for
    logprobs: int | None = Field(None, ge=0, le=5)

    def options(self) -> Options:
        try:
            structure = self.structured_outputs.structure() if self.structured_outputs else None
        except StructureError as problem:
            raise ApiError(400, str(problem), param="structured_outputs", code="unsupported_schema") from None
        return Options(
            **self.sampled(), max_new_tokens=self.max_tokens or 16, alternatives=self.logprobs, structure=structure
        )

    def spelling(self, option: str) -> str:
        names = {"bias": "logit_bias", "alternatives": "logprobs", "max_new_tokens": "max_tokens"}
        return names.get(option, option)


class EmbeddingRequest(Body):
    """The body of POST /v1/embeddings."""

    neutral: ClassVar = {"dimensions": None}

    model: str
    input: Annotated[list[str], BeforeValidator(lambda said: [said] if isinstance(said, str) else said)] = Field(
        min_length=1, max_length=2048
    )
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None
