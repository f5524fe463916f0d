"""llama.cpp as an engine: GGUF files, in this process, through xllamacpp.

It batches what is asked at once, keeps what it has read of earlier prompts, and draws under the same grammars. Two
things of it are not trusted: a grammar that it cannot read it would ignore without a word, so what comes out is checked
again; and prompts longer than its context are refused before it sees them. Its presence and frequency penalties count
the prompt's tokens too.
"""

import math
import queue
import threading
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from underdog.errors import UserError
from underdog.generate.chat import Prompt
from underdog.generate.footprint import header
from underdog.generate.interface import CacheKind, Capabilities, Drawing, Sampling, Scored, Token
from underdog.generate.llamacpp_server import LocalServer
from underdog.generate.options import ContextFull, OptionError
from underdog.generate.reading import CALL
from underdog.generate.structure import Checker
from underdog.tokens.infill import infill_ids
from underdog.tokens.messages import Message, as_json
from underdog.tokens.tokenizer import THINK

SLOTS = 4  # answers drawn side by side
CONTEXT = 8192  # tokens of one conversation, unless asked otherwise
SCORES = 2**30  # bytes: what llama.cpp may take to embed a text. It computes the scores of all tokens, and copies them


class LlamaCpp:
    """See `interface.Engine`; it is also the model's `chat.Chat`, since the tokenizer is in the file."""

    def __init__(
        self,
        path: Path,
        context: int | None = None,
        threads: int | None = None,
        answers: int = SLOTS,
        cache: CacheKind = "full",
    ):
        """`context`: tokens that a conversation may have; by default what the model was trained for, at most 8,192.
        `answers`: how many are drawn side by side; the cache has room for all of them. `cache`: float16, or 8 bits.

        Raises:
            UserError: llama.cpp cannot read the file, or `context` is more than the model was trained for.
        """
        self._path = path
        self.context = context_of(path, context)
        self.capabilities = Capabilities(parallel=answers)
        self._start = partial(LocalServer, path, answers=answers, threads=threads, cache=cache)
        self._server = self._start(context=self.context)

    # What an engine does

    def stream(self, prompt: Sequence[int], drawing: Drawing) -> Generator[Token, None, None]:
        pieces: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        left = threading.Event()

        def tell(piece: dict[str, Any]) -> bool:
            pieces.put(piece)
            return left.is_set()  # True stops it

        def draw() -> None:
            try:
                self._server.complete(_body(prompt, drawing), tell)
            except Exception as problem:
                pieces.put(problem)
            pieces.put(None)

        thread = threading.Thread(target=draw, name="llama.cpp", daemon=True)
        thread.start()
        try:
            yield from _read(pieces, drawing)
        finally:
            left.set()
            thread.join()

    def score(self, prompt: Sequence[int], options: Sequence[Sequence[int]]) -> list[float]:
        """The options' shares of one another, token by token: where they part, only their own next tokens count, and
        one pass says how likely each is. They add up to one."""
        sums = [0.0] * len(options)
        parted = [list(range(len(options)))]  # groups of options that began alike so far
        depth = 0
        while parted := [group for group in parted if len(group) > 1]:
            groups = []
            for group in parted:
                following: dict[int, list[int]] = {}
                for index in group:
                    if depth < len(options[index]):
                        following.setdefault(options[index][depth], []).append(index)
                if len(following) > 1:
                    shares = self._shares([*prompt, *options[group[0]][:depth]], list(following))
                    for token, indices in following.items():
                        for index in indices:
                            sums[index] += shares[token]
                groups += following.values()
            parted, depth = groups, depth + 1
        return sums

    def _shares(self, prompt: Sequence[int], tokens: Sequence[int]) -> dict[int, float]:
        """Log-probability of each token among them."""
        body = {**_body(prompt, Drawing(Sampling(max_new_tokens=1), bias=dict.fromkeys(tokens, 1000.0)))}
        body |= {"stream": False, "n_probs": len(tokens), "post_sampling_probs": True}
        (step,) = self._server.complete(body)["choices"][0]["logprobs"]["content"]
        found = {one["id"]: one["prob"] for one in step["top_probs"]}
        return {token: math.log(max(found.get(token, 0.0), 1e-30)) for token in tokens}

    def embed(self, prompts: Sequence[Sequence[int]]) -> list[list[float]]:
        """The mean of the last hidden states, or what the file says is to be taken.

        Raises:
            ContextFull: a text is too long to be read in one pass.
        """
        longest = max(map(len, prompts), default=0)
        if longest > self._embeddable:
            message = f"A text has {longest} tokens; llama.cpp embeds at most {self._embeddable} of this model."
            raise ContextFull("input", message, hint="Cut it into parts.")
        return [self._embedder.embed(prompt) for prompt in prompts]

    @cached_property
    def _embeddable(self) -> int:
        """Tokens that a text to embed may have."""
        return min(self.context, SCORES // (2 * 4 * self.vocabulary))

    @cached_property
    def _embedder(self) -> LocalServer:
        return self._start(context=self._embeddable, embedding=True)

    def close(self) -> None:
        self.__dict__.pop("_embedder", None)
        self._server = None

    @cached_property
    def vocabulary(self) -> int:
        return self._server.ask("/v1/models")["data"][0]["meta"]["n_vocab"]

    # How it is talked to

    @cached_property
    def thinks(self) -> bool:
        return THINK in self._template

    @cached_property
    def calls_tools(self) -> bool:
        return CALL in self._template

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], thinking: bool | None) -> Prompt:
        self._check_template()
        said: dict[str, Any] = {"messages": [self._harmless(message) for message in messages]}
        if tools:
            said["tools"] = list(tools)
        if thinking is not None:
            said["chat_template_kwargs"] = {"enable_thinking": thinking}
        text = self._server.ask("/apply-template", said)["prompt"]
        ids = self._tokenize(text, control=True)
        begin = self._begin
        return Prompt([*begin, *ids] if ids[: len(begin)] != begin else ids, text.rstrip().endswith(THINK))

    def encode(self, text: str) -> list[int]:
        return self._tokenize(text, control=False)

    def encode_document(self, text: str) -> list[int]:
        return [*self._begin, *self.encode(text)]

    def encode_infill(self, prefix: str, suffix: str) -> list[int]:
        return [*self._begin, *infill_ids(prefix, suffix, self._control, self.encode)]

    def _control(self, token: str) -> int | None:
        ids = self._tokenize(token, control=True)
        return ids[0] if len(ids) == 1 else None

    def encode_answer(self, text: str) -> list[int]:
        return [*self.encode(text), *self._end]

    @cached_property
    def _end(self) -> list[int]:
        return self._tokenize(self._server.ask("/props")["eos_token"], control=True)

    @cached_property
    def _begin(self) -> list[int]:
        """What stands before every text."""
        return self._server.ask("/tokenize", {"content": "", "add_special": True})["tokens"]

    def _tokenize(self, text: str, control: bool) -> list[int]:
        asked = {"content": text, "add_special": False, "parse_special": control}
        return self._server.ask("/tokenize", asked)["tokens"]

    @cached_property
    def _template(self) -> str:
        return self._server.ask("/props").get("chat_template", "")

    def _check_template(self) -> None:
        """llama.cpp takes ChatML where a file has no template: a model without its tokens is no chat model."""
        if "<|im_start|>" in self._template and len(self._tokenize("<|im_start|>", control=True)) > 1:
            raise UserError(
                f"{self._path.name} has no chat template: it is a base model, which continues text and answers nobody.",
                hint="Ask it through /v1/completions, or take the model's instruction-tuned version.",
            )

    def _harmless(self, message: Message) -> dict[str, Any]:
        """No text may forge a control token."""
        for text in (message.content, message.reasoning or ""):
            if self._tokenize(text, control=True) != self._tokenize(text, control=False):
                raise OptionError("messages", "A message holds one of the model's control tokens, written out.")
        return as_json(message)


def context_of(path: Path, wanted: int | None) -> int:
    """Tokens that a conversation with the file may have: those that are wanted, else what it was trained for, at most
    CONTEXT.

    Raises:
        UserError: it was trained for fewer, or is not a GGUF file.
    """
    trained = header(path)["context_length"]
    if wanted and wanted > trained:
        raise UserError(f"{path.name} was trained for {trained:,} tokens of context, not {wanted:,}.")
    return wanted or min(CONTEXT, trained)


def _body(prompt: Sequence[int], drawing: Drawing) -> dict[str, Any]:
    sampling = drawing.sampling
    body: dict[str, Any] = {
        "prompt": list(prompt),
        "n_predict": sampling.max_new_tokens,
        "stream": True,
        "return_progress": True,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "seed": sampling.seed % 2**32,
        "presence_penalty": drawing.presence_penalty,
        "frequency_penalty": drawing.frequency_penalty,
        "repeat_penalty": drawing.repetition_penalty,
        "repeat_last_n": len(prompt) + sampling.max_new_tokens,
        "logit_bias": [[token, value] for token, value in drawing.bias.items()],
        "n_probs": 0 if drawing.alternatives is None else max(1, drawing.alternatives),
        "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],  # in transformers' order
        "cache_prompt": True,
    }
    if drawing.grammar is not None:
        body["grammar"] = "%llguidance {}\n" + drawing.grammar
    return body


def _read(pieces: "queue.SimpleQueue[Any]", drawing: Drawing) -> Generator[Token, None, None]:
    checker = Checker(drawing.grammar) if drawing.grammar else None
    drawn = 0
    while (piece := pieces.get()) is not None:
        if isinstance(piece, Exception):
            raise piece
        if "error" in piece:
            raise RuntimeError(f"llama.cpp: {piece['error']}")
        if "prompt_progress" in piece:
            yield Token(count=0)
            continue
        (choice,) = piece["choices"]
        data = choice["text"].encode()
        if checker and not checker.take(data):
            raise UserError("llama.cpp left the grammar: it could not follow it.", hint="Ask for something simpler.")
        ended = choice["finish_reason"]
        count = piece["usage"]["completion_tokens"] - drawn if ended else 1
        drawn += count
        cached = piece["timings"]["cache_n"] if ended else 0
        yield Token(data, count, ended == "stop", *_scores(choice, drawing), cached)


def _scores(choice: dict[str, Any], drawing: Drawing) -> tuple[tuple[Scored, ...], tuple[tuple[Scored, ...], ...]]:
    said = (choice.get("logprobs") or {}).get("content") or []
    tokens = tuple(_scored(one) for one in said)
    return tokens, tuple(tuple(_scored(other) for other in one["top_logprobs"][: drawing.alternatives]) for one in said)


def _scored(said: dict[str, Any]) -> Scored:
    return Scored(bytes(said["bytes"]), said["logprob"], said["id"])
