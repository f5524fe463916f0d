"""How a model is talked to: conversations and texts to the ids that its engine takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from underdog.errors import UserError
from underdog.generate.reading import CALL
from underdog.tokens.chat import opens_thinking, prompt_ids
from underdog.tokens.infill import infill_ids
from underdog.tokens.messages import Message
from underdog.tokens.tokenizer import THINK, Tokenizer


@dataclass(frozen=True)
class Prompt:
    """What an engine continues."""

    ids: list[int]
    thinking: bool  # the template has opened the reasoning: the answer goes on inside it


class Chat(Protocol):
    """The form of one model's conversations."""

    thinks: bool  # its template knows reasoning
    calls_tools: bool  # its template writes calls in the form that `tools` reads

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], thinking: bool | None) -> Prompt:
        """The conversation, and an opened assistant's turn. `thinking` asks for a mode; None: the template's own.

        Raises:
            UserError: the model has no chat template, or it refuses the conversation.
        """
        ...

    def encode(self, text: str) -> list[int]:
        """A text within a conversation."""
        ...

    def encode_answer(self, text: str) -> list[int]:
        """A whole answer, with the token that ends it."""
        ...

    def encode_document(self, text: str) -> list[int]:
        """A text of its own, as the model met texts when it was trained."""
        ...

    def encode_infill(self, prefix: str, suffix: str) -> list[int]:
        """A text with a gap, which the model is to fill.

        Raises:
            UserError: it was not trained to.
        """
        ...


class TemplateChat:
    """By the tokenizer and the chat template of a Hugging Face folder."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        try:
            template = tokenizer.template_for(tools=True)
        except UserError:  # a base model: it can still continue texts
            template = ""
        self.thinks = THINK in template
        self.calls_tools = CALL in template

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], thinking: bool | None) -> Prompt:
        ids = prompt_ids(messages, self.tokenizer, tools=tools, thinking=thinking)
        return Prompt(ids, opens_thinking(ids, self.tokenizer))

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)

    def encode_answer(self, text: str) -> list[int]:
        return [*self.encode(text), self.tokenizer.turn_end]

    def encode_document(self, text: str) -> list[int]:
        begin = self.tokenizer.special_ids()["bos_token_id"]
        return [*([] if begin is None else [begin]), *self.tokenizer.encode(text)]

    def encode_infill(self, prefix: str, suffix: str) -> list[int]:
        ids = infill_ids(prefix, suffix, self.tokenizer.core.token_to_id, self.tokenizer.encode)
        return [*self.tokenizer.opening, *ids]
