"""A classifier that was fitted to labelled rows: TF-IDF (floor.py), or a language model (tuned_model.py)."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from underdog.tasks.calibrate import softmax
from underdog.tasks.classify import Classified, deepest

ABOUT = "classifier.json"


class Tuned(ABC):
    """Call it with a text."""

    def __init__(self, labels: Sequence[str], temperature: float = 1.0):
        self.labels = list(labels)
        self.temperature = temperature

    def __call__(self, text: str) -> Classified:
        (found,) = self.classify([text])
        return found

    def classify(self, texts: Sequence[str]) -> list[Classified]:
        found = []
        for scores in self.scores(texts):
            shares = softmax([score / self.temperature for score in scores])
            by_label = dict(zip(self.labels, shares, strict=True))
            found.append(Classified(max(by_label, key=by_label.__getitem__), by_label))
        return found

    @abstractmethod
    def scores(self, texts: Sequence[str]) -> Any:
        """[texts, labels]"""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes what `load_tuned.load_tuned` reads."""


@dataclass(frozen=True)
class Levels:
    """A tuned classifier whose labels may be a hierarchy: its answer is the deepest level that is likely."""

    tuned: Tuned

    def __call__(self, text: str) -> Classified:
        (found,) = self.classify([text])
        return found

    def classify(self, texts: Sequence[str]) -> list[Classified]:
        shares = (found.probabilities for found in self.tuned.classify(texts))
        return [Classified(deepest(by_label, 0.0), by_label) for by_label in shares]


def write_about(folder: Path, **about: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
