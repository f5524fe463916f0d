"""From the user's words to commands: a model, under the grammar of what makes sense now."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from underdog.generate.session import Model
from underdog.generate.structure import Structure
from underdog.tasks.ask import ask
from underdog.tasks.dialog import commands
from underdog.tasks.dialog.commands import Command
from underdog.tasks.dialog.machine import DEEP, State, Turn, begin, step
from underdog.tasks.dialog.script import CHANGE, CONFIRM, Script, Slot
from underdog.tasks.normalize.place import Place

WORDS = {"type": "string", "minLength": 1, "maxLength": 200}
ABOUT = {
    "start": "begins a form",
    "set": "fills a slot of the form with the user's own words",
    "correct": "gives a filled slot another value, in the user's own words",
    "affirm": "the user agrees",
    "deny": "the user does not agree",
    "cancel": "the user wants to stop the form",
    "answer": "the user asks a question",
    "clarify": "the user may have meant several forms",
    "hand_over": "the user wants a person, or nothing else fits",
}


@dataclass(frozen=True)
class Dialog:
    """A script with a model that reads what the user says. It keeps nothing: the state goes from turn to turn.

    Raises:
        UserError: the script's languages or its region are not known.
    """

    script: Script
    model: Model
    place: Place | None = None  # else the script's, now

    @cached_property
    def _place(self) -> Place:
        return self.place or self.script.place()

    def __post_init__(self):
        _ = self._place

    def begin(self) -> Turn:
        return begin(self.script)

    def reply(self, state: State, text: str) -> "Reply":
        """Raises ContextFull or NoAnswer: the model could not read the text."""
        said = () if state.over else self._understand(state, text)
        return Reply(said, step(self.script, state, said, text, self._place))

    def _understand(self, state: State, text: str) -> tuple[Command, ...]:
        offered = options(self.script, state)
        structure = Structure.json_schema(commands.schema(offered))
        return tuple(map(commands.read, ask(self.model, self._question(state, text, offered), structure)["commands"]))

    def _question(self, state: State, text: str, offered: dict[str, Any]) -> str:
        lines = ["Turn the user's message into one to three commands.", "", "Commands:"]
        lines += [f"- {word}: {ABOUT[word]}" for word in offered]
        lines += ["", *_named("Forms", {name: flow.about for name, flow in self.script.flows.items()})]
        lines += _named("Slots", {name: slot.about or slot.ask for name, slot in _slots(self.script, state)})
        lines += _named("Answers", {name: answer.about for name, answer in self.script.answers.items()})
        if state.stack:
            values = ", ".join(f"{name} = {value}" for name, value in state.stack[-1].values.items())
            lines += [f"Form now: {state.stack[-1].flow}. Filled: {values or 'nothing'}."]
        return "\n".join([*lines, f"The user was asked for: {state.expects}.", "", f"Message: {text}"])


@dataclass(frozen=True)
class Reply:
    """What the model understood, and what the machine made of it."""

    said: tuple[Command, ...]
    turn: Turn

    def as_json(self) -> dict[str, Any]:
        """All of it but the state."""
        return {
            "say": list(self.turn.say),
            "commands": [commands.as_json(command) for command in self.said],
            "refused": [{**commands.as_json(command), "why": why} for command, why in self.turn.refused],
            "done": [{"flow": frame.flow, "values": dict(frame.values)} for frame in self.turn.done],
        }


def options(script: Script, state: State) -> dict[str, list[dict[str, Any]]]:
    """Commands that make sense now, each with its variants' fields as schemas."""
    begun = {frame.flow for frame in state.stack}
    startable = [name for name in script.flows if name not in begun] if len(begun) < DEEP else []
    values = state.stack[-1].values if state.stack else {}
    slots = [(name, _value(script, state, name, slot)) for name, slot in _slots(script, state)]
    offered: dict[str, list[dict[str, Any]]] = {
        "start": [{"flow": {"enum": startable}}] if startable else [],
        "set": [{"slot": {"enum": [name]}, "value": value} for name, value in slots if name not in values],
        "correct": [{"slot": {"enum": [name]}, "value": value} for name, value in slots if name in values],
        "affirm": [{}] if state.expects in (CONFIRM, CHANGE) else [],
        "deny": [{}] if state.expects == CONFIRM else [],
        "cancel": [{}] if state.stack else [],
        "answer": [{"topic": {"enum": list(script.answers)}}] if script.answers else [],
        "clarify": [{"flows": {"type": "array", "items": {"enum": startable}, "minItems": 2, "maxItems": 3}}]
        if len(startable) > 1
        else [],
        "hand_over": [{}],
    }
    return {word: variants for word, variants in offered.items() if variants}


def _slots(script: Script, state: State) -> Iterator[tuple[str, Slot]]:
    """Those of the open form; before one is begun, of all that may be: "a table for four" begins and fills it."""
    flows = [state.stack[-1].flow] if state.stack else list(script.flows)
    return iter({name: slot for flow in flows for name, slot in script.flows[flow].slots.items()}.items())


def _value(script: Script, state: State, name: str, slot: Slot) -> dict[str, Any]:
    if state.doubt and state.expects == name:
        return {"anyOf": [{"enum": list(state.doubt)}, WORDS]}
    return {"enum": list(slot.choices)} if slot.kind == "choice" else WORDS


def _named(title: str, names: dict[str, str]) -> list[str]:
    return [f"{title}:", *(f"- {name}: {about}" for name, about in names.items()), ""] if names else []
