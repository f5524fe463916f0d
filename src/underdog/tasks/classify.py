"""Which of some labels a text has: probabilities out of one pass, no text is generated.

Each label is scored as the answer to a prompt that describes them all. What the model favours whatever the text is
("contextual calibration", Zhao et al. 2021, section 5) is taken off: its scores for a text without content. Below a
threshold the answer is "none of these".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from underdog.errors import UserError
from underdog.generate.session import Model
from underdog.tokens.messages import Message

EMPTY = "N/A"  # a text without content
SEPARATOR = "/"  # between the levels of a hierarchical label


@dataclass(frozen=True)
class Classified:
    """`label` is None where the classifier abstains."""

    label: str | None
    probabilities: Mapping[str, float]  # of each label; they add up to one

    @property
    def confidence(self) -> float:
        return max(self.probabilities.values())


@dataclass(frozen=True)
class Classifier:
    """Sorts texts into labels.

    Args:
        labels: name -> description, which may be empty. Names with "/" are a hierarchy: `levels` adds them up.
        abstain: least probability of an answer.
        task: what the labels say about a text.

    Raises:
        UserError: there are fewer than two labels, or the model cannot score.
    """

    model: Model
    labels: Mapping[str, str]
    abstain: float = 0.0
    task: str = "Classify the text."

    def __post_init__(self):
        if len(self.labels) < 2 or not all(self.labels):
            raise UserError("A classifier needs at least two labels, none of them empty.")
        if not self.model.capabilities.score:
            words = f"{self.model.name} cannot score labels."
            raise UserError(words, hint="Use a local model: a folder or a .gguf file.")

    def __call__(self, text: str) -> Classified:
        """Raises ContextFull: the text and the labels do not fit into the model's context."""
        scores = [score - usual for score, usual in zip(self._scores(text), self._usual, strict=True)]
        probabilities = dict(zip(self.labels, softmax(scores), strict=True))
        best = max(probabilities, key=probabilities.__getitem__)
        return Classified(best if probabilities[best] >= self.abstain else None, probabilities)

    @cached_property
    def _usual(self) -> list[float]:
        return self._scores(EMPTY)

    def _scores(self, text: str) -> list[float]:
        lines = [f"- {name}: {about}" if about else f"- {name}" for name, about in self.labels.items()]
        asked = "\n".join([self.task, "Answer with one of these labels and nothing else:", *lines, "", f"Text: {text}"])
        return self.model.score([Message("user", asked)], list(self.labels))


def levels(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of all levels of a hierarchy: "card/lost" counts for "card" too."""
    sums: dict[str, float] = {}
    for name, share in probabilities.items():
        steps = name.split(SEPARATOR)
        for depth in range(1, len(steps) + 1):
            above = SEPARATOR.join(steps[:depth])
            sums[above] = sums.get(above, 0.0) + share
    return sums


def several(model: Model, text: str, labels: Mapping[str, str], threshold: float = 0.5) -> dict[str, float]:
    """Labels that hold, any number of them, each with its probability: each is a question of its own."""
    found = {}
    for name, about in labels.items():
        what = f'"{name}" ({about})' if about else f'"{name}"'
        judge = Classifier(model, {"yes": "", "no": ""}, task=f"Does the label {what} hold for the text?")
        share = judge(text).probabilities["yes"]
        if share >= threshold:
            found[name] = share
    return found


def softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    return [share / sum(shares) for share in shares]
