"""The narrow jobs as they are sent to workers: settings that can be pickled, and what opens them."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from underdog.errors import UserError, did_you_mean
from underdog.generate.open import open_model
from underdog.tasks import tagger
from underdog.tasks.classify import Classified, Classifier, MultiClassifier, deepest
from underdog.tasks.crew import Ready
from underdog.tasks.dialog.machine import state_to_json
from underdog.tasks.dialog.script import read_script
from underdog.tasks.dialog.understand import Dialog
from underdog.tasks.entities import EntityFinder, Found
from underdog.tasks.extract import Extracted, Extractor
from underdog.tasks.load_tuned import load_tuned, served
from underdog.tasks.normalize.normalizer import KINDS, Normalized, Normalizer
from underdog.tasks.normalize.place import Place
from underdog.tasks.router import Router
from underdog.tasks.tuned import ABOUT, Levels


@dataclass(frozen=True)
class OnTexts:
    """A job on one column."""

    column: str
    model: str

    @property
    def columns(self) -> list[str]:
        return [self.column]

    def _ready(self, do: Callable[[str], Mapping[str, Any]], parallel: int = 1) -> Ready:
        return Ready(lambda row: do(row[self.column]), parallel)

    def _ready_together(self, do: Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]) -> Ready:
        """Where the model reads many texts in one pass."""
        alone = self._ready(lambda text: do([text])[0])
        return replace(alone, do_together=lambda rows: do([row[self.column] for row in rows]))


@dataclass(frozen=True)
class Classify(OnTexts):
    name: ClassVar[str] = "classify"

    labels: Mapping[str, str] = field(default_factory=dict)
    multi: bool = False
    abstain: float | None = None  # least probability of an answer; in a hierarchy of the level that is answered
    least: float = 0.0  # least confidence of the deepest label, by held-out rows: no level above stands in for it
    temperature: float = 1.0

    def open(self) -> Ready:
        if not self.multi:
            return self.by(*open_classifier(self.model, self.labels, self.temperature))
        if (Path(self.model) / ABOUT).exists():
            raise UserError(f"{self.model} was tuned to one label a text: leave out --multi.")
        model = open_model(self.model)
        several = MultiClassifier(model, self.labels, self.abstain)
        return self._ready(lambda text: {"labels": several(text)}, model.capabilities.parallel)

    def by(self, classifier: Classifier | Levels, parallel: int) -> Ready:
        """With a classifier that is open already."""

        def do(texts: Sequence[str]) -> list[dict[str, Any]]:
            return [classified(self._answer(found.probabilities)) for found in classifier.classify(texts)]

        if isinstance(classifier, Levels):
            return self._ready_together(do)
        return self._ready(lambda text: do([text])[0], parallel)

    def _answer(self, by_label: Mapping[str, float]) -> Classified:
        found = Classified(deepest(by_label, self.abstain or 0.0), by_label)
        return found if found.confidence >= self.least else replace(found, label=None)


@dataclass(frozen=True)
class Route(OnTexts):
    name: ClassVar[str] = "route"

    least: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    large: str | None = None
    temperature: float = 1.0

    def open(self) -> Ready:
        return self.by(*open_classifier(self.model, self.labels, self.temperature))

    def by(self, classifier: Classifier | Levels, parallel: int) -> Ready:
        """With a classifier that is open already."""
        labels = self.labels or dict.fromkeys(served(Path(self.model))[1]["labels"], "")
        large = open_model(self.large) if self.large else None
        router = Router(classifier, self.least, self.services, large, labels)
        return self._ready(lambda text: vars(router(text)), large.capabilities.parallel if large else parallel)


@dataclass(frozen=True)
class Extract(OnTexts):
    name: ClassVar[str] = "extract"

    form: Any = None  # JSON, or "file.py:Class"

    def open(self) -> Ready:
        model = open_model(self.model)
        extractor = Extractor(model, pydantic_form(self.form) if isinstance(self.form, str) else self.form)
        return self._ready(lambda text: extracted(extractor(text)), model.capabilities.parallel)


@dataclass(frozen=True)
class Entities(OnTexts):
    name: ClassVar[str] = "entities"

    types: Mapping[str, str] = field(default_factory=dict)
    window: int = 2000
    overlap: int = 200

    def open(self) -> Ready:
        if (Path(self.model) / tagger.ABOUT).exists():
            if self.types:
                raise UserError(f"{self.model} was fitted to types of its own: leave out --type.")
            tag = tagger.Tagger(Path(self.model))
            return self._ready(lambda text: found(Found(tag(text), 0)))
        model = open_model(self.model)
        finder = EntityFinder(model, self.types, self.window, self.overlap)
        return self._ready(lambda text: found(finder(text)), model.capabilities.parallel)


@dataclass(frozen=True)
class Normalize:
    name: ClassVar[str] = "normalize"

    kinds: Mapping[str, str]  # column -> kind
    place: Place
    model: str | None = None
    tone: str = ""

    def __post_init__(self):
        for column, kind in self.kinds.items():
            if kind not in KINDS:
                raise UserError(f'{column}: there is no kind "{kind}".', hint=did_you_mean(kind, KINDS))
        if self.tone and "style" not in self.kinds.values():
            raise UserError("--tone has no effect without a column of the kind style.")

    @property
    def columns(self) -> list[str]:
        return list(self.kinds)

    def at(self, now: datetime) -> "Normalize":
        return replace(self, place=replace(self.place, now=now))

    def open(self) -> Ready:
        model = open_model(self.model) if self.model else None
        normalizer = Normalizer(self.place, model, self.tone)

        def do(row: Mapping[str, Any]) -> dict[str, Any]:
            results: dict[str, Any] = {}
            for column, kind in self.kinds.items():
                done = normalized(normalizer(row[column] or "", kind))
                results |= {f"{column}_{kind}" + (f"_{name}" if name != "value" else ""): v for name, v in done.items()}
            return results

        return Ready(do, model.capabilities.parallel if model else 1)


@dataclass(frozen=True)
class Dialogue(OnTexts):
    """A text is what one user said, a line a turn."""

    name: ClassVar[str] = "dialog"

    script: Any = None  # as JSON
    now: datetime | None = None

    def at(self, now: datetime) -> "Dialogue":
        return replace(self, now=now)

    def open(self) -> Ready:
        script = read_script(self.script)
        model = open_model(self.model)
        dialog = Dialog(script, model, script.place(self.now))

        def do(text: str) -> dict[str, Any]:
            state, turns = dialog.begin().state, []
            for line in filter(str.strip, text.splitlines()):
                reply = dialog.reply(state, line)
                state = reply.turn.state
                turns.append(reply.as_json())
            return {"turns": turns, "state": state_to_json(state)}

        return self._ready(do, model.capabilities.parallel)


def open_classifier(model: str, labels: Mapping[str, str], temperature: float = 1.0) -> tuple[Classifier | Levels, int]:
    """What `underdog tune` made, or a model with labels; and how many texts it works on side by side."""
    if (Path(model) / ABOUT).exists():
        if labels:
            raise UserError(f"{model} was tuned to labels of its own: leave out --label.")
        return Levels(load_tuned(Path(model))), 1
    opened = open_model(model)
    return Classifier(opened, labels, temperature=temperature), opened.capabilities.parallel


def pydantic_form(where: str) -> Any:
    """The class of "file.py:Class".

    Raises:
        UserError: there is no such file, it does not run, or it has no such pydantic model.
    """
    path, _, name = where.rpartition(":")
    spec = importlib.util.spec_from_file_location("underdog_form", path)
    if spec is None or spec.loader is None or not Path(path).exists():
        raise UserError(f"There is no file {path}.", hint='A pydantic form is "file.py:Class".')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as problem:  # whatever the user's file does
        raise UserError(f"{path} does not run: {type(problem).__name__}: {problem}.") from None
    form = getattr(module, name, None)
    if not hasattr(form, "model_json_schema"):
        raise UserError(f"{path} has no pydantic model {name}.")
    return form


# Results as JSON, for files and for HTTP


def classified(one: Classified) -> dict[str, Any]:
    return {"label": one.label, "confidence": round(one.confidence, 6)}


def extracted(one: Extracted) -> dict[str, Any]:
    value = one.value.model_dump(mode="json") if hasattr(one.value, "model_dump") else one.value
    return {"extracted": value, "spans": {path: span and list(span) for path, span in one.spans.items()}}


def found(one: Found) -> dict[str, Any]:
    listed = [{"start": e.start, "end": e.end, "type": e.type, "text": e.text} for e in one.entities]
    return {"entities": listed, "invented": one.invented}


def normalized(one: Normalized) -> dict[str, Any]:
    """The value, who decided, and where there is more to say, the readings or the changes."""
    said: dict[str, Any] = {"value": one.value, "by": one.by}
    if one.by != "rules":
        said["readings"] = list(one.readings)
    if one.changes:
        said["changes"] = [vars(change) for change in one.changes]
    return said
