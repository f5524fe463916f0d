"""The one renderer: messages to ids, loss mask and text."""

from collections.abc import Sequence
from dataclasses import dataclass

from underdog.tokens.messages import Message
from underdog.tokens.tokenizer import END_THINK, THINK, Tokenizer


@dataclass(frozen=True)
class Rendered:
    """A conversation as tokens. `mask[i]` is True where the assistant produced `ids[i]`."""

    ids: list[int]
    mask: list[bool]


def render(
    messages: Sequence[Message],
    tokenizer: Tokenizer,
    *,
    generation_prompt: bool = False,
    keep_all_think: bool = False,
) -> Rendered:
    """Turns a conversation into ids and loss mask.

    The mask covers what the assistant produced, its closing token included, exactly as a sampler saw it: a turn
    whose reasoning the template drops was never sampled in that form, and carries no loss.
    """
    last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    ids: list[int] = []
    mask: list[bool] = []
    newline = tokenizer.encode("\n")

    def add(tokens: list[int], produced: bool) -> None:
        ids.extend(tokens)
        mask.extend([produced] * len(tokens))

    for index, message in enumerate(messages):
        if message.role == "assistant":
            kept = keep_all_think or index > last_user
            reasoning = message.reasoning if kept else None
            produced = kept or message.reasoning is None
            add(_open_assistant(tokenizer), False)
            add([*_answer(message.content, reasoning, tokenizer), tokenizer.turn_end], produced)
        else:
            add([tokenizer.turn_start, *tokenizer.encode(f"{message.role}\n{message.content}")], False)
            add([tokenizer.turn_end], False)
        add(newline, False)
    if generation_prompt:
        add(_open_assistant(tokenizer), False)
    return Rendered(ids, mask)


def prompt_ids(messages: Sequence[Message], tokenizer: Tokenizer) -> list[int]:
    """Ids that a sampler continues: the conversation and an opened assistant turn."""
    return render(messages, tokenizer, generation_prompt=True).ids


def split_reasoning(text: str) -> tuple[str | None, str]:
    """Reasoning and content of what an assistant produced.

    An unclosed `<think>` is all reasoning and no content; without one, all is content.
    """
    before, mark, after = text.rpartition(END_THINK)
    if mark:
        return before.removeprefix(THINK), after.strip()
    if text.startswith(THINK):
        return text.removeprefix(THINK), ""
    return None, text.strip()


def _open_assistant(tokenizer: Tokenizer) -> list[int]:
    return [tokenizer.turn_start, *tokenizer.encode("assistant\n")]


def _answer(content: str, reasoning: str | None, tokenizer: Tokenizer) -> list[int]:
    """Content is trimmed, so that no leading white space merges with the header's newline into another token
    than the sampler would have seen."""
    thought = [] if reasoning is None else [tokenizer.think, *tokenizer.encode(reasoning), tokenizer.end_think]
    return thought + tokenizer.encode(content.strip())
