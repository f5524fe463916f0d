"""What a user may want of a dialogue: typed commands, and the schema of those that make sense now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from underdog.tasks.ask import object_of

MOST = 3  # commands a turn


@dataclass(frozen=True)
class Start:
    flow: str


@dataclass(frozen=True)
class Set:
    """Fills an empty slot."""

    slot: str
    value: str  # as the user said it


@dataclass(frozen=True)
class Correct:
    """Changes a filled one."""

    slot: str
    value: str


@dataclass(frozen=True)
class Affirm:
    pass


@dataclass(frozen=True)
class Deny:
    pass


@dataclass(frozen=True)
class Cancel:
    pass


@dataclass(frozen=True)
class Answer:
    """A digression: a question that the script has an answer to."""

    topic: str


@dataclass(frozen=True)
class Clarify:
    """The user may have meant any of these flows."""

    flows: tuple[str, ...]


@dataclass(frozen=True)
class HandOver:
    pass


Command = Start | Set | Correct | Affirm | Deny | Cancel | Answer | Clarify | HandOver
KINDS: Mapping[str, type[Command]] = {
    "start": Start, "set": Set, "correct": Correct, "affirm": Affirm, "deny": Deny, "cancel": Cancel,
    "answer": Answer, "clarify": Clarify, "hand_over": HandOver,
}  # fmt: skip
WORDS = {kind: word for word, kind in KINDS.items()}


def as_json(command: Command) -> dict[str, Any]:
    said = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(command).items()}
    return {"command": WORDS[type(command)], **said}


def read(said: Mapping[str, Any]) -> Command:
    """What `as_json` wrote, or a model under `schema`."""
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items() if name != "command"}
    return KINDS[said["command"]](**fields)


def schema(options: Mapping[str, Any]) -> dict[str, Any]:
    """One to three of the commands in `options`: word -> the schemas of each of its variants' fields."""
    variants = [
        object_of(command={"const": word}, **fields) for word, each in options.items() for fields in each
    ]  # fmt: skip
    return object_of(commands={"type": "array", "items": {"anyOf": variants}, "minItems": 1, "maxItems": MOST})
