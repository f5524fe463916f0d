"""A model in use: messages in, text out as it is drawn, reasoning and content apart."""

import secrets
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from underdog.errors import UserError
from underdog.generate.engine import Ending, Engine
from underdog.generate.reading import Reading
from underdog.generate.sampling import Sampling
from underdog.tokens.chat import opens_thinking, prompt_ids
from underdog.tokens.messages import Message
from underdog.tokens.tokenizer import Tokenizer

COLDEST = 1e-5  # lowest temperature above 0: dividing by less would overflow the scores


class OptionError(UserError):
    """Something asked for that cannot be had; `option` names it."""

    def __init__(self, option: str, message: str, *, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.option = option


class ContextFull(OptionError):
    """The conversation, with the new tokens asked for, is longer than the model's context."""


@dataclass(frozen=True)
class Options:
    """How an answer is to be drawn. None leaves it to the model's own generation_config.json.

    Raises:
        OptionError: a value is out of range.
    """

    temperature: float | None = None  # 0 = greedy
    top_p: float | None = None
    top_k: int | None = None  # 0 = all
    max_new_tokens: int | None = None  # None = as many as the context has room for
    seed: int | None = None  # None = another one each time
    stop: tuple[str, ...] = ()  # the content ends before the first of these; reasoning is not searched

    def __post_init__(self):
        rules = {
            "temperature": (lambda t: t == 0 or COLDEST <= t <= 2, f"0 (greedy) or between {COLDEST:.5f} and 2"),
            "top_p": (lambda p: 0 <= p <= 1, "between 0 and 1"),
            "top_k": (lambda k: k >= 0, "0 (all tokens) or more"),
            "max_new_tokens": (lambda n: n >= 1, "at least 1"),
            "seed": (lambda seed: -(2**63) <= seed < 2**63, "a number of 64 bits"),
            "stop": (lambda strings: all(strings) and len(strings) <= 16, "at most 16 strings, none of them empty"),
        }
        for name, (holds, rule) in rules.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise OptionError(name, f"{name} must be {rule}.")


@dataclass(frozen=True)
class Finish:
    """How an answer ended."""

    ending: Ending
    prompt_tokens: int
    new_tokens: int  # the closing token included
    reasoning_tokens: int  # of the new ones
    notice: str | None = None  # what a person must be told: the answer is cut off, or there is none


@dataclass(frozen=True)
class Delta:
    """What one more token brought: often one of the texts, sometimes neither. The last one has the finish."""

    reasoning: str = ""
    content: str = ""
    finish: Finish | None = None


Deltas = Generator[Delta, None, None]


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    message: Message
    finish: Finish


@dataclass(frozen=True)
class Served:
    """A model that is ready to answer."""

    name: str
    engine: Engine
    tokenizer: Tokenizer
    defaults: Sampling = field(default_factory=Sampling)

    def reply(self, messages: Sequence[Message], options: Options | None = None) -> Deltas:
        """The assistant's next turn, one delta a token. Closing the generator stops the model.

        Raises:
            OptionError: at once, before anything is drawn: the conversation does not end with the user, or
                does not fit into the context with the tokens asked for. Nothing is ever cut silently.
        """
        if not messages or messages[-1].role != "user":
            raise OptionError("messages", "The last message must be the user's.")
        options = options or Options()
        prompt = prompt_ids(messages, self.tokenizer)
        return self._stream(prompt, self._sampling(options, len(prompt)), options.stop)

    def _sampling(self, options: Options, prompt: int) -> Sampling:
        context = self.engine.context
        room = context - prompt
        if room < 1:
            raise ContextFull(
                "messages",
                f"The conversation has {prompt} tokens; the model's context holds {context}, the answer included.",
                hint="Shorten it or start a new one.",
            )
        limit = options.max_new_tokens or room
        if limit > room:
            raise ContextFull(
                "max_new_tokens",
                f"The conversation has {prompt} tokens and {limit} new ones are asked for, "
                f"{prompt + limit} in all; the model's context holds {context}.",
                hint=f"Ask for at most {room} new tokens, or set no limit.",
            )
        return Sampling(
            temperature=_either(options.temperature, self.defaults.temperature),
            top_p=_either(options.top_p, self.defaults.top_p),
            top_k=_either(options.top_k, self.defaults.top_k),
            max_new_tokens=limit,
            seed=_either(options.seed, secrets.randbits(63)),
        )

    def _stream(self, prompt: list[int], sampling: Sampling, stop: Sequence[str]) -> Deltas:
        reading = Reading(self.tokenizer, stop, opens_thinking(prompt, self.tokenizer))
        ending, drawn, reasoned = Ending.TRUNCATED, 0, 0
        with closing(self.engine.stream(prompt, sampling)) as tokens:
            for token, _ in tokens:
                drawn += 1
                if token in self.tokenizer.stops:
                    ending = Ending.STOPPED
                    break
                was_thinking = reading.thinking
                yield Delta(*reading.add(token))
                reasoned += was_thinking or reading.thinking
                if reading.stopped:
                    break
        rest = reading.end()
        if reading.stopped:
            ending = Ending.STOPPED
        context, limit = self.engine.context, f"limit of {sampling.max_new_tokens} new tokens"
        if len(prompt) + drawn >= context:
            limit = f"context of {context} tokens"
        yield Delta(*rest, Finish(ending, len(prompt), drawn, reasoned, _notice(reading, ending, limit)))


def collect(deltas: Iterable[Delta]) -> Answer:
    """Waits for the whole answer."""
    reasoning = content = ""
    finish = None
    for delta in deltas:
        reasoning += delta.reasoning
        content += delta.content
        finish = delta.finish
    if finish is None:
        raise ValueError("the deltas end without a finish")
    return Answer(Message("assistant", content, reasoning or None), finish)


def _notice(reading: Reading, ending: Ending, limit: str) -> str | None:
    """An answer that is empty or cut off says so."""
    if ending is Ending.TRUNCATED:
        if reading.answered:
            return f"The answer is cut off: the {limit} was reached."
        cause = "while the model was still reasoning" if reading.thinking else "before an answer began"
        return f"There is no answer: the {limit} was reached {cause}."
    if reading.answered:
        return None
    if reading.stopped:
        return "There is no answer: it began with a stop string."
    where = "inside its reasoning" if reading.thinking else "without one"
    return f"There is no answer: the model ended its turn {where}."


def _either(wish, default):
    return default if wish is None else wish
