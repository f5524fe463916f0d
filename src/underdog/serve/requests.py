"""What a client may ask for, in OpenAI's words; beyond them, in those of vLLM: top_k, min_p, repetition_penalty,
structured_outputs, chat_template_kwargs.enable_thinking; and thinking_budget.

user and metadata are labels of the client's own and change nothing.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from underdog.errors import UserError
from underdog.generate.options import Options
from underdog.generate.structure import Structure, StructureError
from underdog.generate.tools import Offer
from underdog.serve.bodies import Body
from underdog.serve.errors import ApiError
from underdog.serve.parts import (
    ChatMessage,
    Format,
    NamedTool,
    StreamOptions,
    StructuredOutputs,
    TemplateSettings,
    Tool,
)

SAMPLED = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed",
)  # fmt: skip
Stop = Annotated[list[str], BeforeValidator(lambda stop: [stop] if isinstance(stop, str) else stop)]


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
            thinking=self._thinking(),
            thinking_budget=self.thinking_budget,
        )

    def _thinking(self) -> bool | None:
        asked = self.chat_template_kwargs.enable_thinking
        if self.reasoning_effort is None:
            return asked
        if asked:
            raise ApiError(400, "reasoning_effort none and enable_thinking contradict.", param="reasoning_effort")
        return False

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
