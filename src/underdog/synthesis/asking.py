"""Asking teachers: many requests at once, tried again where a server fails, kept on the disk, and within a budget.

A reply that has come is written down before anything else happens: nothing is paid for twice, and a stopped run goes on
by asking the same things again.
"""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from underdog.artifacts.files import digest_json
from underdog.errors import UserError
from underdog.generate.interface import Ending
from underdog.generate.options import ContextFull, OptionError, Options
from underdog.generate.remote import ServerError
from underdog.generate.session import Answer, Model, collect
from underdog.generate.structure import Structure
from underdog.synthesis.replies import Budget, Cache, Reply
from underdog.tokens.messages import Message, as_json

REFUSED = re.compile(
    r"\s*(?:I(?:'|’)?m sorry|I am sorry|Sorry,|I can(?:not|['’]t)\b|I(?:'|’)m unable|As an AI)", re.IGNORECASE
)
MALFORMED, SILENT, TIMED_OUT, TOO_LONG = "malformed JSON", "no answer from the server", "timed out", "question too long"
NOT_TAKEN = "question not taken"  # by the server, or by a local model's chat template
WRONG_ADDRESS = (401, 402, 404)  # HTTP: every request fails, until somebody mends it
T = TypeVar("T")
R = TypeVar("R")


class NoReply(Exception):
    """One request came to nothing: `why` in a word or two, for counting; the message says more."""

    def __init__(self, who: str, why: str, more: object = ""):
        super().__init__(f"{who}: {why}" + (f": {more}" if more else ""))
        self.why = why


@dataclass
class Teacher:
    """A model that is asked, wherever it is."""

    model: Model
    cache: Cache
    budget: Budget
    identity: str = ""  # what the cache knows it by: the name alone may be another model's tomorrow
    retries: int = 6
    pause: float = 0.5  # seconds before the first new try; doubled each time
    counts: Counter[str] = field(default_factory=Counter)  # "asked", "cached", "tried again", and reasons of failures
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        return self.model.name

    def ask(self, messages: Sequence[Message], options: Options) -> str:
        """The content of the reply.

        Raises:
            NoReply: the server failed every time, or does not take the question; or the answer is empty, cut off or a
                refusal.
            UserError: the budget is used up, the server lets nobody in, or the model cannot be asked such a thing.
        """
        key = digest_json([self.identity or self.name, [as_json(one) for one in messages], _options(options)])
        reply = self.cache.get(key)
        if reply is None:
            reply = self._paid(messages, options)
            self.cache.put(key, reply)
            self._count("asked")
        else:
            self._count("cached")
        self.budget.use(key, reply)
        for why, wrong in (
            ("answer cut off", reply.truncated),
            ("empty answer", not reply.text),
            ("refused", len(reply.text) < 400 and REFUSED.match(reply.text)),
        ):
            if wrong:
                raise self._fails(why)
        return reply.text

    def ask_json(self, messages: Sequence[Message], options: Options, schema: dict[str, Any], tries: int = 2) -> Any:
        """A reply of that shape. Where the engine cannot be held to it, malformed ones are asked for anew.

        Raises:
            NoReply: as `ask`; or no try had the shape.
        """
        structure = Structure.json_schema(schema) if self.model.capabilities.structure else None
        problem = ""
        for attempt in range(tries):
            seed = (options.seed or 0) + attempt  # another answer, and another place in the cache
            text = self.ask(messages, replace(options, structure=structure, seed=seed))
            try:
                return read_shape(text, schema)
            except ValueError as malformed:
                problem = str(malformed)
        raise self._fails(MALFORMED, problem)

    def _paid(self, messages: Sequence[Message], options: Options) -> Reply:
        """A new reply; a server that fails is asked again, after longer and longer pauses."""
        for attempt in range(self.retries + 1):
            self.budget.check()
            try:
                answer = self._answer(messages, options)
                break
            except OptionError:
                raise
            except UserError as problem:
                status = problem.status if isinstance(problem, ServerError) else None
                if status in WRONG_ADDRESS:
                    raise
                if not _may_pass(status):
                    raise self._fails(NOT_TAKEN, problem) from None
                if attempt == self.retries:
                    raise self._fails(TIMED_OUT if status == 408 else SILENT, problem) from None
                self._count("tried again")
                time.sleep(self.pause * 2**attempt)
        finish = answer.finish
        truncated = finish.ending is Ending.TRUNCATED
        return Reply(answer.message.content, truncated, finish.prompt_tokens, finish.new_tokens)

    def _answer(self, messages: Sequence[Message], options: Options) -> Answer:
        """Where the context has no room for the longest answer, what room there is will have to do."""
        try:
            return collect(self.model.reply(messages, options))
        except ContextFull:
            try:
                return collect(self.model.reply(messages, replace(options, max_new_tokens=None)))
            except ContextFull as full:
                raise self._fails(TOO_LONG, full) from None

    def _fails(self, why: str, more: object = "") -> NoReply:
        self._count(why)
        return NoReply(self.name, why, more)

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def side_by_side(work: Callable[[T], R], items: Iterable[T], parallel: int) -> Iterator[R]:
    """The results in the items' order, `parallel` at once. An error ends the rest before it is begun."""
    with ThreadPoolExecutor(parallel, thread_name_prefix="asking") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def object_schema(**properties: Any) -> dict[str, Any]:
    """A JSON Schema of an object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def read_shape(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON object in a text, which may stand in a code fence or among words; its keys and their types checked.

    Raises:
        ValueError: there is none, or it lacks something.
    """
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        raise ValueError("no JSON object")
    said = json.loads(text[begin : end + 1])
    kinds = {"array": list, "string": str, "integer": int, "boolean": bool}
    for name, shape in schema["properties"].items():
        value = said.get(name)
        if not isinstance(value, kinds[shape["type"]]):
            raise ValueError(f'"{name}" is not of type {shape["type"]}')
        if shape["type"] == "array" and not all(isinstance(one, kinds[shape["items"]["type"]]) for one in value):
            raise ValueError(f'"{name}" holds something else than {shape["items"]["type"]}s')
        if not shape.get("minimum", value) <= value <= shape.get("maximum", value):
            raise ValueError(f'"{name}" is {value}')
    return said


def _may_pass(status: int | None) -> bool:
    """Whether asking the same again may help. None: no server failed, but what was asked is refused each time."""
    return status is not None and (status in (0, 408, 429) or status >= 500)


def _options(options: Options) -> dict[str, Any]:
    return {name: value for name, value in asdict(options).items() if value is not None}
