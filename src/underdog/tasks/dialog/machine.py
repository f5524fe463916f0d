"""The form of a dialogue: a function of the state and the commands, and of nothing else. No model comes near it.

What holds whatever the commands are (tests/tasks/dialog/test_machine.py draws them at random):
- a filled slot changes by a `Correct` of its own and goes with its flow only;
- a value was said by the user, and reads as itself;
- a flow is done only with all that it asks for, and only after the user agreed to just these values;
- a question in between leaves the form where it was;
- every turn ends with a question, until a person takes over; that comes at the latest after `misses` turns of nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from underdog.errors import UserError
from underdog.tasks.dialog import commands
from underdog.tasks.dialog.commands import Affirm, Answer, Cancel, Clarify, Command, Correct, Deny, HandOver, Set, Start
from underdog.tasks.dialog.script import CHANGE, CONFIRM, FLOW, PERSON, RESERVED, Flow, Script
from underdog.tasks.dialog.values import readings
from underdog.tasks.extract import find
from underdog.tasks.normalize.place import Place

DEEP = 3  # flows inside one another


@dataclass(frozen=True)
class Frame:
    flow: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """All that a dialogue remembers. `expects`: "flow", "confirm", "change", a slot's name, or "person" at the end."""

    stack: tuple[Frame, ...] = ()  # the last one is being filled
    expects: str = "flow"
    doubt: tuple[str, ...] = ()  # what the expected slot may be
    misses: int = 0

    @property
    def over(self) -> bool:
        return self.expects == PERSON


@dataclass(frozen=True)
class Turn:
    """`done`: flows that were finished, with their values. `refused`: commands that changed nothing, with why."""

    state: State
    say: tuple[str, ...]
    done: tuple[Frame, ...] = ()
    refused: tuple[tuple[Command, str], ...] = ()


def begin(script: Script) -> Turn:
    return Turn(State(), (script.greeting, script.offer))


def step(script: Script, state: State, said: Iterable[Command], text: str, place: Place) -> Turn:
    """The next state, and what is said.

    Args:
        said: what the user wants; more than three commands are not looked at.
        text: the user's words: values must stand in them.
    """
    if state.over:
        return Turn(state, ())
    work = _Work(script, state, text, place)
    for command in [*said][: commands.MOST]:
        work.take(command)
        if work.state.over:
            return work.turn(script.handover)
    misses = 0 if work.moved else state.misses + 1
    work.state = replace(work.state, misses=misses)
    if misses >= script.misses:
        work.state = replace(work.state, expects=PERSON, doubt=())
        return work.turn(script.handover)
    if not work.moved and not work.say:
        work.say.append(script.unclear)
    return work.turn(*work.next())


class _Work:
    """One turn in the making."""

    def __init__(self, script: Script, state: State, text: str, place: Place):
        self.script, self.state, self.text, self.place = script, state, text, place
        self.asked = state.expects
        self.say: list[str] = []
        self.done: list[Frame] = []
        self.refused: list[tuple[Command, str]] = []
        self.moved = False  # some command did what it wanted

    def turn(self, *last: str) -> Turn:
        return Turn(self.state, (*self.say, *last), tuple(self.done), tuple(self.refused))

    def take(self, command: Command) -> None:
        takes: dict[type, Callable[[Any], str | None]] = {
            Start: self._start, Set: self._set, Correct: self._correct, Affirm: self._affirm, Deny: self._deny,
            Cancel: self._cancel, Answer: self._answer, Clarify: self._clarify, HandOver: self._hand_over,
        }  # fmt: skip
        if why := takes[type(command)](command):
            self.refused.append((command, why))

    def next(self) -> tuple[str, ...]:
        """The question that comes now; what is complete is finished on the way."""
        while self.state.stack:
            frame = self.state.stack[-1]
            flow = self.script.flows[frame.flow]
            if self.state.doubt:
                return (self.script.doubt.format(readings=" / ".join(self.state.doubt)),)
            if missing := [n for n, slot in flow.slots.items() if not slot.optional and n not in frame.values]:
                self._expect(missing[0])
                return (flow.slots[missing[0]].ask,)
            if self.state.expects == CHANGE:
                return (self.script.change,)
            if flow.confirm:
                self._expect(CONFIRM)
                return (filled(flow, flow.confirm, frame),)
            self._finish(frame)
        self._expect(FLOW)
        return (self.script.offer,)

    # Commands: each returns why it cannot be, or nothing

    def _start(self, command: Start) -> str | None:
        if command.flow not in self.script.flows:
            return "there is no such flow"
        if any(frame.flow == command.flow for frame in self.state.stack):
            return "it has begun already"
        if len(self.state.stack) == DEEP:
            return "too many flows are open"
        self._change(stack=(*self.state.stack, Frame(command.flow)))
        return None

    def _set(self, command: Set) -> str | None:
        return self._fill(command, filled_already=False)

    def _correct(self, command: Correct) -> str | None:
        return self._fill(command, filled_already=True)

    def _fill(self, command: Set | Correct, filled_already: bool) -> str | None:
        frame = self.state.stack[-1] if self.state.stack else None
        slot = self.script.flows[frame.flow].slots.get(command.slot) if frame else None
        if frame is None or slot is None:
            return "there is no such slot now"
        if (command.slot in frame.values) != filled_already:
            return "it is filled already" if command.slot in frame.values else "it is not filled yet"
        if self.state.doubt and self.state.expects == command.slot and command.value in self.state.doubt:
            found = (command.value,)
        elif slot.kind != "choice" and not find(command.value, self.text):
            return "the user did not say it"
        else:
            found = readings(slot, command.value, self.place)
        if not found:
            self.say.append(self.script.refused.format(value=command.value, slot=command.slot))
            return "it is no such value"
        if len(found) > 1:
            self.state = replace(self.state, expects=command.slot, doubt=found)
            self.moved = True
            return None
        if filled_already:
            old = frame.values[command.slot]
            self.say.append(self.script.corrected.format(slot=command.slot, old=old, value=found[0]))
        values = {**frame.values, command.slot: found[0]}
        self._change(stack=(*self.state.stack[:-1], Frame(frame.flow, values)))
        return None

    def _affirm(self, command: Affirm) -> str | None:
        if self.state.expects not in (CONFIRM, CHANGE) or self.state.expects != self.asked:
            return "there is nothing to agree to"  # or not to what it is now
        self._finish(self.state.stack[-1])
        return None

    def _deny(self, command: Deny) -> str | None:
        if self.state.expects != CONFIRM:
            return "there is nothing to deny"
        self._expect(CHANGE)
        self.moved = True
        return None

    def _cancel(self, command: Cancel) -> str | None:
        if not self.state.stack:
            return "nothing has begun"
        self._change(stack=self.state.stack[:-1])
        self.say.append(self.script.cancelled)
        return None

    def _answer(self, command: Answer) -> str | None:
        if command.topic not in self.script.answers:
            return "there is no such answer"
        self.say.append(self.script.answers[command.topic].say)
        self.moved = True
        return None

    def _clarify(self, command: Clarify) -> str | None:
        known = [self.script.flows[name].about for name in command.flows if name in self.script.flows]
        if not known:
            return "there are no such flows"
        self.say.append(self.script.doubt.format(readings=" / ".join(known)))
        return "it is a question, no step"

    def _hand_over(self, command: HandOver) -> None:
        self._expect(PERSON)

    # Steps

    def _change(self, stack: tuple[Frame, ...]) -> None:
        """Values or flows changed: what was to be agreed to holds no more."""
        self.state = State(stack, FLOW if not stack else "", misses=self.state.misses)
        self.moved = True

    def _expect(self, what: str) -> None:
        self.state = replace(self.state, expects=what, doubt=())

    def _finish(self, frame: Frame) -> None:
        self.done.append(frame)
        flow = self.script.flows[frame.flow]
        self.say.append(filled(flow, flow.done, frame))
        self._change(stack=self.state.stack[:-1])


def filled(flow: Flow, text: str, frame: Frame) -> str:
    """A text with the values of a frame; "—" where an optional one is missing."""
    return text.format(**{name: frame.values.get(name, "—") for name in flow.slots})


def state_to_json(state: State) -> dict[str, Any]:
    return asdict(state)


def state_from_json(said: Any, script: Script) -> State:
    """Raises UserError: it is no state of this script."""
    try:
        stack = tuple(Frame(one["flow"], dict(one["values"])) for one in said["stack"])
        state = State(stack, str(said["expects"]), tuple(map(str, said["doubt"])), int(said["misses"]))
        slots = [script.flows[frame.flow].slots.keys() for frame in stack]
        fits = all(frame.values.keys() <= names for frame, names in zip(stack, slots, strict=True))
        expected = state.expects in RESERVED or (stack and state.expects in slots[-1])
    except (KeyError, TypeError, ValueError):
        fits = expected = False
    if not fits or not expected:
        raise UserError("The state is none of this script's.", hint="Give back what the last turn gave, or null.")
    return state
