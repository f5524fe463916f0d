"""A model in use: messages in, text out as it is drawn, reasoning, content and calls apart."""

import secrets
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

from underdog.errors import UserError
from underdog.generate.chat import Chat, Prompt
from underdog.generate.interface import Capabilities, Drawing, Ending, Engine, Sampling, Scored, Token
from underdog.generate.options import ContextFull, OptionError, Options
from underdog.generate.reading import Reading
from underdog.generate.structure import whole_grammar
from underdog.generate.tools import read_call
from underdog.tokens.messages import Message, ToolCall
from underdog.tokens.tokenizer import END_THINK


@dataclass(frozen=True)
class Finish:
    """How an answer ended."""

    ending: Ending
    prompt_tokens: int
    new_tokens: int  # the closing token included
    reasoning_tokens: int  # of the new ones
    notice: str | None = None  # what a person must be told: the answer is cut off, or there is none
    cached_tokens: int = 0  # of the prompt's: they had been read before


@dataclass(frozen=True)
class Delta:
    """What one more token brought: often one of the texts, sometimes neither. The last one has the finish."""

    reasoning: str = ""
    content: str = ""
    finish: Finish | None = None
    calls: tuple[ToolCall, ...] = ()
    scored: tuple[tuple[Scored, tuple[Scored, ...]], ...] = ()  # tokens of the content, each with the likeliest ones


Deltas = Generator[Delta, None, None]


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    message: Message
    finish: Finish
    scored: tuple[tuple[Scored, tuple[Scored, ...]], ...] = ()


class Model(Protocol):
    """What the rooms above talk to: a local engine (`Served`) or a server somewhere else (`remote.Remote`)."""

    name: str
    context: int | None  # tokens; None: not known
    capabilities: Capabilities

    def reply(self, messages: Sequence[Message], options: Options | None = None) -> Deltas: ...
    def complete(self, text: str, options: Options | None = None, suffix: str | None = None) -> Deltas: ...
    def score(self, messages: Sequence[Message], answers: Sequence[str]) -> list[float]: ...
    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Served:
    """A model that is ready to answer."""

    name: str
    engine: Engine
    chat: Chat
    defaults: Options = field(default_factory=Options)  # as its generation_config.json says

    @property
    def context(self) -> int:
        return self.engine.context

    @property
    def capabilities(self) -> Capabilities:
        return self.engine.capabilities

    def reply(self, messages: Sequence[Message], options: Options | None = None) -> Deltas:
        """The assistant's next turn, one delta a token. Closing the generator stops the model.

        Raises:
            OptionError: at once, before anything is drawn: the conversation does not end with the user or a tool, or
                does not fit into the context with the tokens asked for. Nothing is ever cut silently.
        """
        if not messages or messages[-1].role not in ("user", "tool"):
            raise OptionError("messages", "The last message must be the user's.")
        options = options or Options()
        offered = options.offer.shown if options.offer else ()
        if offered and not self.chat.calls_tools:
            raise OptionError("tools", f"The chat template of {self.name} has no form for tools that is read here.")
        prompt = self.chat.prompt(messages, offered, options.thinking)
        may = "may" if self.chat.thinks and options.thinking is not False else "no"
        grammar = _grammar(options, "open" if prompt.thinking else may)
        drawing = self._drawing(options, len(prompt.ids), "messages", grammar)
        reading = Reading(options.stop, prompt.thinking, calls=bool(offered))
        return self._stream(prompt, drawing, reading, options)

    def complete(self, text: str, options: Options | None = None, suffix: str | None = None) -> Deltas:
        """The text's continuation, all of it content; with `suffix`, what stands between the two.

        Raises:
            OptionError: the model fills no gaps, or the text does not fit.
        """
        options = options or Options()
        prompt = Prompt(self._gap(text, suffix) if suffix else self.chat.encode_document(text), thinking=False)
        if not prompt.ids:
            raise OptionError("prompt", "The prompt is empty, and the model has no token that begins a text.")
        grammar = options.structure.whole() if options.structure else None
        drawing = self._drawing(options, len(prompt.ids), "prompt", grammar)
        return self._stream(prompt, drawing, Reading(options.stop, plain=True), options)

    def _gap(self, prefix: str, suffix: str) -> list[int]:
        try:
            return self.chat.encode_infill(prefix, suffix)
        except UserError as problem:
            raise OptionError("suffix", str(problem), hint=problem.hint) from None

    def score(self, messages: Sequence[Message], answers: Sequence[str]) -> list[float]:
        """Log-probability of each answer to the conversation, in one pass over all of them."""
        prompt = self.chat.prompt(messages, (), thinking=False).ids
        options = [self.chat.encode_answer(answer) for answer in answers]
        self._room(len(prompt) + max(map(len, options)), "messages")
        return self.engine.score(prompt, options)

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """A vector of length 1 for each text, and the tokens that were read."""
        prompts = [self.chat.encode_document(text) for text in texts]
        for ids in prompts:
            if not ids:
                raise OptionError("input", "A text to embed is empty.")
            self._room(len(ids), "input")
        return self.engine.embed(prompts), sum(map(len, prompts))

    def close(self) -> None:
        self.engine.close()

    def _room(self, tokens: int, option: str) -> int:
        room = self.context - tokens
        if room < 1:
            raise ContextFull(
                option,
                f"The {_NOUNS[option]} has {tokens} tokens; the model's context holds {self.context}, the answer "
                "included.",
                hint="Shorten it or start a new one.",
            )
        return room

    def _drawing(self, options: Options, prompt: int, option: str, grammar: str | None) -> Drawing:
        room = self._room(prompt, option)
        limit = options.max_new_tokens or room
        if limit > room:
            raise ContextFull(
                "max_new_tokens",
                f"The {_NOUNS[option]} has {prompt} tokens and {limit} new ones are asked for, "
                f"{prompt + limit} in all; the model's context holds {self.context}.",
                hint=f"Ask for at most {room} new tokens, or set no limit.",
            )
        if strange := [token for token in options.bias if not 0 <= token < self.engine.vocabulary]:
            raise OptionError("bias", f"There is no token {strange[0]}; they end at {self.engine.vocabulary - 1}.")
        chosen = {name: self._chosen(options, name) for name in (*SAMPLED, *PENALTIES)}
        sampling = Sampling(
            **{name: chosen[name] for name in SAMPLED if chosen[name] is not None},
            max_new_tokens=limit,
            seed=secrets.randbits(63) if options.seed is None else options.seed,
        )
        penalties = {name: chosen[name] for name in PENALTIES if chosen[name] is not None}
        return Drawing(sampling, **penalties, bias=options.bias, grammar=grammar, alternatives=options.alternatives)

    def _chosen(self, options: Options, name: str) -> float | None:
        """What was asked for, else what the model's own settings say."""
        wish = getattr(options, name)
        return getattr(self.defaults, name) if wish is None else wish

    def _stream(self, prompt: Prompt, drawing: Drawing, reading: Reading, options: Options) -> Deltas:
        ending, drawn, reasoned, called, cached = Ending.TRUNCATED, 0, 0, 0, 0
        with closing(self._tokens(prompt, drawing, reading, options)) as tokens:
            for token in tokens:
                drawn += token.count
                cached += token.cached
                if token.closes:
                    ending = Ending.STOPPED
                    break
                was_thinking = reading.thinking
                texts = reading.add(token.data)
                calls = tuple(call for text in reading.calls[called:] if (call := read_call(text)))
                called = len(reading.calls)
                thought = was_thinking or reading.thinking
                reasoned += token.count * thought
                scored = () if thought else tuple(zip(token.scored, token.top, strict=True))
                yield Delta(*texts, calls=calls, scored=scored)
                if reading.stopped or (calls and not options.offer.parallel):
                    ending = Ending.STOPPED
                    break
        rest = reading.end()
        if reading.stopped:
            ending = Ending.STOPPED
        if called and ending is Ending.STOPPED:
            ending = Ending.CALLED
        limit = f"limit of {drawing.sampling.max_new_tokens} new tokens"
        if len(prompt.ids) + drawn >= self.context:
            limit = f"context of {self.context} tokens"
        notice = _notice(reading, ending, limit)
        yield Delta(*rest, Finish(ending, len(prompt.ids), drawn, reasoned, notice, cached))

    def _tokens(
        self, prompt: Prompt, drawing: Drawing, reading: Reading, options: Options
    ) -> Generator[Token, None, None]:
        """The engine's tokens; where a thought uses up its budget, its end is written for the model."""
        written, spent, drawn = b"", 0, 0
        with closing(self.engine.stream(prompt.ids, drawing)) as tokens:
            for token in tokens:
                if reading.thinking and options.thinking_budget is not None and spent >= options.thinking_budget:
                    break
                spent += token.count * reading.thinking
                drawn += token.count
                written += token.data
                yield token
            else:
                return
        ended = f"\n{END_THINK}\n\n"
        so_far = [*prompt.ids, *self.chat.encode(written.decode(errors="replace")), *self.chat.encode(ended)]
        left = min(drawing.sampling.max_new_tokens - drawn, self.context - len(so_far))
        yield Token(ended.encode(), count=0)
        if left > 0:
            shorter = replace(drawing.sampling, max_new_tokens=left)
            drawing = replace(drawing, sampling=shorter, grammar=_grammar(options, "no"))
            yield from (replace(token, cached=0) for token in self.engine.stream(so_far, drawing))


SAMPLED = ("temperature", "top_p", "top_k", "min_p")
PENALTIES = ("presence_penalty", "frequency_penalty", "repetition_penalty")
_NOUNS = {"messages": "conversation", "prompt": "prompt", "input": "text"}


def _grammar(options: Options, thinking: str) -> str | None:
    if options.structure:
        return options.structure.whole(thinking)
    if options.offer and options.offer.shown:
        # What may be said beside calls has room for a thought already.
        return whole_grammar(options.offer.rules(), thinking if options.offer.forced else "no")
    return None


def collect(deltas: Iterable[Delta]) -> Answer:
    """Waits for the whole answer."""
    reasoning = content = ""
    calls: tuple[ToolCall, ...] = ()
    scored: tuple[tuple[Scored, tuple[Scored, ...]], ...] = ()
    finish = None
    for delta in deltas:
        reasoning += delta.reasoning
        content += delta.content
        calls += delta.calls
        scored += delta.scored
        finish = delta.finish
    if finish is None:
        raise ValueError("the deltas end without a finish")
    return Answer(Message("assistant", content, reasoning or None, calls), finish, scored)


def _notice(reading: Reading, ending: Ending, limit: str) -> str | None:
    """An answer that is empty or cut off says so."""
    if ending is Ending.TRUNCATED:
        if reading.answered:
            return f"The answer is cut off: the {limit} was reached."
        cause = "while the model was still reasoning" if reading.thinking else "before an answer began"
        return f"There is no answer: the {limit} was reached {cause}."
    if reading.answered or ending is Ending.CALLED:
        return None
    if reading.stopped:
        return "There is no answer: it began with a stop string."
    where = "inside its reasoning" if reading.thinking else "without one"
    return f"There is no answer: the model ended its turn {where}."
