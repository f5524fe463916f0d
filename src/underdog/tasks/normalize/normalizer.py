"""Dates, amounts, phone numbers, names, spelling and style in one form each: rules first, then a model.

What the rules leave open (two readings, or none), a model decides among their readings, or writes under the form of
such a value; what it writes must stand the rules' own test. Every value says who decided it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from underdog.errors import UserError, did_you_mean
from underdog.generate.session import Model
from underdog.generate.structure import Structure
from underdog.tasks.ask import ask, object_of
from underdog.tasks.normalize.amounts import AMOUNT, amounts
from underdog.tasks.normalize.dates import DATE, TIME, dates, times
from underdog.tasks.normalize.names import NAME, names
from underdog.tasks.normalize.phones import PHONE, phones
from underdog.tasks.normalize.place import Place
from underdog.tasks.normalize.spelling import doubts
from underdog.tasks.normalize.style import facts, tidy

By = Literal["rules", "model"]


@dataclass(frozen=True)
class Change:
    """Characters `start` to `end` of the text as it came, and what stands there now."""

    start: int
    end: int
    old: str
    new: str
    by: By


@dataclass(frozen=True)
class Normalized:
    """`value` is None, and `by` too, where nobody could tell; `readings` are those that the rules see."""

    value: str | None
    by: By | None
    readings: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Kind:
    """`read`: what a text may mean as such a value; `form`: what a value matches; `about`: for a model."""

    read: Callable[[str, Place], list[str]]
    form: str
    about: str


VALUES: Mapping[str, Kind] = {
    "date": Kind(dates, DATE, "the date in ISO 8601, as exact as the text says it (2024, 2024-03, 2024-03-12)"),
    "time": Kind(times, TIME, "the time of day as HH:MM"),
    "amount": Kind(amounts, AMOUNT, "the amount as a plain number with the code of its currency (1500 EUR)"),
    "phone": Kind(phones, PHONE, "the phone number in E.164 (+79123456789)"),
    "name": Kind(names, NAME, "the person's name, in the nominative and with capitals"),
}
TEXTS = ("spelling", "style")
KINDS = (*VALUES, *TEXTS)


@dataclass(frozen=True)
class Normalizer:
    """A text and a kind -> one form.

    Args:
        model: asked where the rules cannot tell; None: then nobody decides.
        tone: for the kind "style": how the model is to write ("formal and short"); empty: only how the text is set
            changes.
    """

    place: Place = field(default_factory=Place)
    model: Model | None = None
    tone: str = ""

    def __post_init__(self):
        if self.tone and self.model is None:
            raise UserError("A tone needs a model: rules change no words.", hint="Give one with --model.")

    def __call__(self, text: str, kind: str) -> Normalized:
        """Raises UserError: the kind is not known.

        Raises:
            ContextFull: the text does not fit into the model's context.
        """
        if kind not in KINDS:
            raise UserError(f'There is no kind "{kind}".', hint=did_you_mean(kind, KINDS))
        if kind == "spelling":
            return self._spelling(text)
        return self._style(text) if kind == "style" else self._value(text, VALUES[kind])

    def _value(self, text: str, kind: Kind) -> Normalized:
        readings = tuple(kind.read(text, self.place))
        if len(readings) == 1:
            return Normalized(readings[0], "rules", readings)
        if self.model is None or not text.strip():
            return Normalized(None, None, readings)
        value = self._chosen(text, readings, kind) if readings else self._written(text, kind)
        return Normalized(value, "model" if value else None, readings)

    def _chosen(self, text: str, readings: tuple[str, ...], kind: Kind) -> str | None:
        return self._ask(f"Which is {kind.about}?\n\nText: {text}", {"enum": [*readings, None]})

    def _written(self, text: str, kind: Kind) -> str | None:
        """The model's reading, where the rules read it in turn as it stands."""
        form = {"anyOf": [{"type": "string", "pattern": f"^({kind.form})$"}, {"type": "null"}]}
        today = f"Today is {self.place.now:%A, %Y-%m-%d}. " if kind.read in (dates, times) else ""
        value = self._ask(f"{today}Give {kind.about}, or null if there is none.\n\nText: {text}", form)
        return value if value and kind.read(value, self.place) == [value] else None

    def _spelling(self, text: str) -> Normalized:
        changes = []
        for doubt in doubts(text, self.place):
            if doubt.sure:
                changes.append(Change(doubt.start, doubt.end, doubt.word, doubt.candidates[0], "rules"))
            elif self.model:
                asked = f'In the text, what should stand for "{doubt.word}"?\n\nText: {text}'
                new = self._ask(asked, {"enum": [doubt.word, *doubt.candidates]})
                if new != doubt.word:
                    changes.append(Change(doubt.start, doubt.end, doubt.word, new, "model"))
        by: By = "model" if any(change.by == "model" for change in changes) else "rules"
        return Normalized(applied(text, changes), by, changes=tuple(changes))

    def _style(self, text: str) -> Normalized:
        """What the model writes is taken only if no number and no address was lost or made up."""
        tidied = tidy(text, self.place)
        if self.tone and tidied:
            asked = f"Rewrite the text. Style: {self.tone}. Keep its meaning and language.\n\nText: {tidied}"
            written = tidy(self._ask(asked, {"type": "string", "minLength": 1}), self.place)
            if facts(written) == facts(tidied):
                return Normalized(written, "model", (tidied,))
        return Normalized(tidied, "rules", (tidied,))

    def _ask(self, question: str, form: object) -> str:
        assert self.model is not None
        return ask(self.model, question, Structure.json_schema(object_of(value=form)))["value"]


def applied(text: str, changes: list[Change]) -> str:
    """The text with its changes made."""
    for change in reversed(changes):
        text = text[: change.start] + change.new + text[change.end :]
    return text
