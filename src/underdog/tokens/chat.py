"""The one renderer: messages to ids and loss mask, by the model's own chat template.

What a sampler sees is the template's text up to where the assistant begins, encoded; what it then produces are ids.
Rows for training are laid out the same way, so that nothing is trained on that was never sampled in that form: a
template that drops the reasoning of earlier turns gives such a conversation a row for each of its turns.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from underdog.errors import UserError
from underdog.tokens.messages import Message, as_json
from underdog.tokens.template import render_template
from underdog.tokens.tokenizer import END_THINK, PROBE, THINK, Tokenizer

Tools = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Rendered:
    """A row for training. `mask[i]` is True where the assistant produced `ids[i]`."""

    ids: list[int]
    mask: list[bool]


def render(
    messages: Sequence[Message],
    tokenizer: Tokenizer,
    *,
    tools: Tools = (),
    generation_prompt: bool = False,
    keep_all_think: bool = False,
    thinking: bool | None = None,
) -> list[int]:
    """The ids of a conversation. Control tokens that stand in a message are encoded as the characters they are.

    `thinking` is what the template is told as `enable_thinking`; None leaves it to the template.

    Raises:
        UserError: the tokenizer has no chat template, or it refuses the conversation.
    """
    guard = _Guard(messages, tools, tokenizer)
    return guard.encode(_text(guard, tokenizer, generation_prompt, keep_all_think, thinking))


def prompt_ids(messages: Sequence[Message], tokenizer: Tokenizer, **settings: Any) -> list[int]:
    """Ids that a sampler continues: the conversation and an opened assistant turn. `settings` are those of `render`."""
    return render(messages, tokenizer, generation_prompt=True, **settings)


def rows(
    messages: Sequence[Message], tokenizer: Tokenizer, *, tools: Tools = (), keep_all_think: bool = False
) -> list[Rendered]:
    """What SFT learns from a conversation: every assistant turn as a sampler would have seen and produced it.

    Turns whose prompt begins with the row so far share it. The mask covers what the assistant produced, its closing
    token included.

    Raises:
        UserError: as `render`; or the template does not begin an assistant's turn as it prompts for one.
    """
    found: list[Rendered] = []
    for index, message in enumerate(messages):
        if message.role == "assistant" and message.trained:
            prompt, produced, after = _turn(messages[: index + 1], tokenizer, tools, keep_all_think)
            if found and prompt[: len(found[-1].ids)] == found[-1].ids:
                earlier = found.pop().mask
            else:
                earlier = []
            unseen = [False] * (len(prompt) - len(earlier))
            mask = [*earlier, *unseen, *[True] * len(produced), *[False] * len(after)]
            found.append(Rendered([*prompt, *produced, *after], mask))
    return found


def user_opening(tokenizer: Tokenizer) -> list[int]:
    """Ids up to where a user begins to speak."""
    text = _text(_Guard([Message("user", PROBE)], (), tokenizer), tokenizer)
    return tokenizer.encode_with_control(text.partition(PROBE)[0])


def opens_thinking(prompt: Sequence[int], tokenizer: Tokenizer) -> bool:
    """Whether the template has opened the reasoning already (Qwen3's thinking models): the answer goes on inside it."""
    return tokenizer.decode(prompt[-8:]).rstrip().endswith(THINK)


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


def _turn(
    messages: Sequence[Message], tokenizer: Tokenizer, tools: Tools, keep_all_think: bool
) -> tuple[list[int], list[int], list[int]]:
    """The last message as (prompt, what was produced, what the template writes after it)."""
    guard = _Guard(messages, tools, tokenizer)
    whole = _text(guard, tokenizer, keep_all_think=keep_all_think)
    before = _Guard(messages[:-1], tools, tokenizer, guard.mark)
    # A turn without reasoning was sampled with thinking off, where the template knows such a mode.
    modes = (None,) if messages[-1].reasoning else (False, None)
    for thinking in modes:
        prompt = _text(before, tokenizer, True, keep_all_think, thinking)
        if whole.startswith(prompt):
            produced, after = tokenizer.after_turn(whole[len(prompt) :])
            return guard.encode(prompt), guard.encode(produced), guard.encode(after)
    raise UserError(
        f"The chat template writes turn {len(messages)} otherwise than it prompts for it: nothing sampled could look "
        "like this.",
        hint="Give the turn its reasoning, or take the template that belongs to the model.",
    )


def _text(
    guard: "_Guard",
    tokenizer: Tokenizer,
    generation_prompt: bool = False,
    keep_all_think: bool = False,
    thinking: bool | None = None,
) -> str:
    settings: dict[str, Any] = {"add_generation_prompt": generation_prompt, "keep_all_think": keep_all_think}
    if thinking is not None:
        settings["enable_thinking"] = thinking
    said = {"messages": guard.messages, "tools": guard.tools or None, "documents": None}
    return render_template(tokenizer.template_for(bool(guard.tools)), {**tokenizer.named, **said, **settings})


class _Guard:
    """Messages in which no text can forge a control token: one that stands in a text is broken by a character that no
    text holds, and mended when the rendered text is encoded."""

    def __init__(self, messages: Sequence[Message], tools: Tools, tokenizer: Tokenizer, mark: str = ""):
        self._tokenizer = tokenizer
        self.messages = [as_json(message) for message in messages]
        self.tools = [dict(tool) for tool in tools]
        self.mark = mark
        texts = list(_strings([self.messages, self.tools]))
        if mark or any(tokenizer.control.search(text) for text in texts):
            self.mark = mark or next(c for c in map(chr, range(0xFDD0, 0xFDF0)) if not any(c in t for t in texts))
            self.messages, self.tools = self._broken(self.messages), self._broken(self.tools)

    def encode(self, text: str) -> list[int]:
        if not self.mark:
            return self._tokenizer.encode_with_control(text)
        ids: list[int] = []
        for part in re.split(f"({self._tokenizer.control.pattern})", text):
            if self._tokenizer.control.fullmatch(part):
                ids += self._tokenizer.encode_with_control(part)
            else:
                ids += self._tokenizer.encode(part.replace(self.mark, ""))
        return ids

    def _broken(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._tokenizer.control.sub(lambda found: found[0][0] + self.mark + found[0][1:], value)
        if isinstance(value, Mapping):
            return {self._broken(key): self._broken(one) for key, one in value.items()}
        return [self._broken(one) for one in value] if isinstance(value, list | tuple) else value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for one in [*value, *value.values()] if isinstance(value, Mapping) else value:
            yield from _strings(one)
