"""What a dialogue is about, as YAML: flows with their slots, answers to questions in between, and what is said when.

greeting: Hello, this is the Blue Door.
region: GB
answers:
  hours: {about: asks when we are open, say: We are open from noon to eleven.}
flows:
  book:
    about: book a table
    slots:
      people: {kind: integer, ask: "For how many people?", least: 1, most: 20}
      date: {kind: date, ask: "For which day?"}
    confirm: A table for {people} on {date}. Is that right?
    done: Booked.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from underdog.errors import UserError, did_you_mean, extra
from underdog.tasks.normalize.place import Place

Text = Field(min_length=1)
NAME = re.compile("[a-z][a-z0-9_]{0,40}")
FLOW, CONFIRM, CHANGE, PERSON = "flow", "confirm", "change", "person"  # what a dialogue may expect beside a slot
RESERVED = (FLOW, CONFIRM, CHANGE, PERSON)
FILLED = {  # what texts of the script may name
    "refused": ("value", "slot"), "doubt": ("readings",), "corrected": ("slot", "old", "value"),
}  # fmt: skip


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slot(Part):
    """`text` is taken as it was said; the kinds of `normalize` are read by its rules."""

    kind: Literal["text", "integer", "choice", "date", "time", "amount", "phone", "name"]
    ask: str = Text
    about: str = ""
    choices: dict[str, str] = {}  # name -> what it means
    least: int | None = None
    most: int | None = None
    optional: bool = False  # taken when it is said, never asked for

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> "Slot":
        if (self.kind == "choice") != bool(self.choices):
            raise ValueError("choices belong to the kind choice, which needs some")
        if self.kind != "integer" and (self.least, self.most) != (None, None):
            raise ValueError("least and most belong to the kind integer")
        return self


def _unknown(text: str, known: Collection[str]) -> str | None:
    """What stands in the braces of a text and is no known name alone: `{x}`, `{known.x}`, `{known:>9}`, `{known!r}`."""
    for _, name, form, conversion in Formatter().parse(text):
        if name is not None and (form or conversion or name not in known):
            return name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
    return None


class Flow(Part):
    """A form: it is done once all slots that are not optional are filled, and the user has agreed to `confirm`."""

    about: str = Text
    slots: dict[str, Slot] = Field(min_length=1)
    confirm: str = ""
    done: str = Text

    @model_validator(mode="after")
    def _braces_name_slots(self) -> "Flow":
        for text in (self.confirm, self.done):
            if (name := _unknown(text, self.slots)) is not None:
                raise ValueError(f"{{{name}}} is no slot. {did_you_mean(name, self.slots)}")
        if all(slot.optional for slot in self.slots.values()):
            raise ValueError("all slots are optional: there is nothing to ask for")
        return self


class Answer(Part):
    about: str = Text
    say: str = Text


class Script(Part):
    """All of a dialogue. What is said where nothing is set is English."""

    flows: dict[str, Flow] = Field(min_length=1)
    answers: dict[str, Answer] = {}
    languages: list[str] = ["en", "ru"]
    region: str | None = None
    misses: int = Field(3, ge=1)  # turns in a row that bring nothing, before a person takes over
    greeting: str = "Hello."
    offer: str = "What can I do for you?"
    unclear: str = "Sorry, I did not understand that."
    refused: str = "I cannot take {value} for {slot}."
    doubt: str = "Do you mean {readings}?"
    corrected: str = "{slot}: {old} becomes {value}."
    change: str = "What should be changed?"
    cancelled: str = "That is cancelled."
    handover: str = "I put you through to a person."

    @model_validator(mode="after")
    def _names_are_names(self) -> "Script":
        slots = [(f"{flow}.{slot}", slot) for flow, form in self.flows.items() for slot in form.slots]
        for where, name in [*((name, name) for name in (*self.flows, *self.answers)), *slots]:
            if not NAME.fullmatch(name) or name in RESERVED:
                raise ValueError(f'"{where}" is no name: small letters, digits and "_", a letter first')
        for text, known in FILLED.items():
            try:
                odd = _unknown(getattr(self, text), known)
            except ValueError:  # a brace that is not closed
                odd = text
            if odd is not None:
                raise ValueError(f"{text}: its braces name none of {', '.join(f'{{{name}}}' for name in known)}")
        return self

    def place(self, now: Any = None) -> Place:
        """Where its dates and numbers are read; they lie in the future."""
        when = {"now": now} if now else {}
        return Place(tuple(self.languages), self.region, prefer="future", **when)


def load_script(path: Path) -> Script:
    """Reads a script; its mistakes are named with their line.

    Raises:
        UserError: there is no such file, or it is no script.
    """
    with extra("dialog", "A script"):
        import yaml
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as problem:
        raise UserError(f"{path} is not UTF-8 (byte {problem.start}).", hint="Save it as UTF-8.") from None
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}.", hint="Name a script: docs/jobs.md.") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where}: {getattr(problem, 'problem', problem)}.") from None
    if not isinstance(said, dict):
        raise UserError(f"{path} holds no script.", hint="docs/jobs.md shows one: greeting, flows, answers.")
    try:
        script = Script.model_validate(said)
        script.place()
        return script
    except ValidationError as problem:
        steps, words, hint = _mistake(problem)
        raise UserError(f"{path} line {_line(root, steps)}: {'.'.join(steps)}: {words}.", hint=hint) from None


def read_script(said: Any) -> Script:
    """A script that came as JSON."""
    try:
        return Script.model_validate(said)
    except ValidationError as problem:
        steps, words, hint = _mistake(problem)
        raise UserError(f"{'.'.join(('script', *steps))}: {words}.", hint=hint) from None


KNOWN = {name for part in (Script, Flow, Slot, Answer) for name in part.model_fields}


def _mistake(problem: ValidationError) -> tuple[list[str], str, str | None]:
    """Where, what, and the name that was meant. A name that is not known comes first: what is missing may be it."""
    error = min(problem.errors(), key=lambda one: one["type"] != "extra_forbidden")
    steps = [str(step) for step in error["loc"]]
    hint = did_you_mean(steps[-1], KNOWN) if error["type"] == "extra_forbidden" else None
    return steps, error["msg"].removeprefix("Value error, ").removesuffix("."), hint


def _line(node: Any, steps: Sequence[str]) -> int:
    """The line of a place in the file, or of what it would stand in."""
    line = node.start_mark.line + 1 if node is not None else 1
    for step in steps:
        pairs = node.value if node is not None and node.id == "mapping" else []
        found = next(((key, value) for key, value in pairs if key.value == step), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
