"""Asking teachers: many requests at once, tried again where a server fails, kept on the disk, and within a budget.

A reply that has come is written down before anything else happens: nothing is paid for twice, and a stopped run goes on
by asking the same things again.
"""

import json
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from underdog.artifacts.files import digest_json
from underdog.errors import UserError
from underdog.generate.interface import Ending
from underdog.generate.options import OptionError, Options
from underdog.generate.session import Model, collect
from underdog.generate.structure import Structure
from underdog.tokens.messages import Message, as_json

REFUSED = re.compile(
    r"\s*(?:I(?:'|’)?m sorry|I am sorry|Sorry,|I can(?:not|['’]t)\b|I(?:'|’)m unable|As an AI)", re.IGNORECASE
)
T = TypeVar("T")
R = TypeVar("R")


class NoReply(Exception):
    """One request came to nothing; the message says why."""


@dataclass
class Budget:
    """What all teachers together may use. Prices are money for a million tokens."""

    tokens: int | None = None
    money: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    used_in: int = 0
    used_out: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def spent(self) -> float:
        return (self.used_in * self.price_in + self.used_out * self.price_out) / 1e6

    def use(self, tokens_in: int, tokens_out: int) -> None:
        with self._lock:
            self.used_in += tokens_in
            self.used_out += tokens_out

    def check(self) -> None:
        """Raises UserError once it is used up; requests under way are still paid for."""
        used = self.used_in + self.used_out
        if (self.tokens is not None and used >= self.tokens) or (self.money is not None and self.spent >= self.money):
            raise UserError(
                f"The budget is used up: {used:,} tokens, {self.spent:.4g} of money.",
                hint="The same command with a larger budget goes on: what was answered is not asked again.",
            )


class Cache:
    """Replies by their content: the model's name, the messages and the options."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._base.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, text TEXT NOT NULL)")
        except sqlite3.DatabaseError as problem:
            raise UserError(f"{path} is not a cache of replies: {problem}.", hint="Remove it.") from None
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        with self._lock:
            found = self._base.execute("SELECT text FROM replies WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def put(self, key: str, text: str) -> None:
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, text))


@dataclass
class Teacher:
    """A model that is asked, wherever it is."""

    model: Model
    cache: Cache
    budget: Budget
    retries: int = 3
    pause: float = 0.5  # seconds before the first new try; doubled each time
    counts: Counter[str] = field(default_factory=Counter)  # "asked", "cached", "tried again", and reasons of failures

    @property
    def name(self) -> str:
        return self.model.name

    def ask(self, messages: Sequence[Message], options: Options) -> str:
        """The content of the reply.

        Raises:
            NoReply: the server failed every time, or the answer is empty, cut off or a refusal.
            UserError: the budget is used up, or the model cannot be asked such a thing.
        """
        key = digest_json([self.name, [as_json(one) for one in messages], _options(options)])
        if (found := self.cache.get(key)) is not None:
            self.counts["cached"] += 1
            return self._judged(json.loads(found))
        for attempt in range(self.retries + 1):
            self.budget.check()
            try:
                answer = collect(self.model.reply(messages, options))
                break
            except OptionError:
                raise
            except (UserError, ValueError) as problem:  # ValueError: a line of the stream that is no JSON
                if attempt == self.retries:
                    self.counts["no answer from the server"] += 1
                    raise NoReply(f"{self.name}: {problem}") from None
                self.counts["tried again"] += 1
                time.sleep(self.pause * 2**attempt)
        self.counts["asked"] += 1
        self.budget.use(answer.finish.prompt_tokens, answer.finish.new_tokens)
        said = {"text": answer.message.content, "truncated": answer.finish.ending is Ending.TRUNCATED}
        self.cache.put(key, json.dumps(said))
        return self._judged(said)

    def _judged(self, said: dict[str, Any]) -> str:
        text = said["text"]
        for why, wrong in (
            ("empty answer", not text),
            ("answer cut off", said["truncated"]),
            ("refused", len(text) < 400 and REFUSED.match(text)),
        ):
            if wrong:
                self.counts[why] += 1
                raise NoReply(f"{self.name}: {why}")
        return text

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
        self.counts["malformed JSON"] += 1
        raise NoReply(f"{self.name}: malformed JSON: {problem}")


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
    return said


def _options(options: Options) -> dict[str, Any]:
    return {name: value for name, value in asdict(options).items() if value is not None}
