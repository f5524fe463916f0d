"""Which of some labels a text has: probabilities out of one pass, no text is generated.

Each label is scored as the answer to a prompt that describes them all. What the model favours whatever the text is
("contextual calibration", Zhao et al. 2021, section 5) is taken off: its scores for a text without content. Labelled
rows set the temperature under which the probabilities mean what they say (`Classifier.calibrated`). Below a threshold
the answer is "none of these", or, in a hierarchy, the level that is still sure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from underdog.errors import UserError, did_you_mean
from underdog.generate.session import Model
from underdog.tasks.ask import described
from underdog.tasks.calibrate import fit_temperature, softmax
from underdog.tokens.messages import Message

EMPTY = "N/A"  # a text without content
SEPARATOR = "/"  # between the levels of a hierarchical label


@dataclass(frozen=True)
class Classified:
    """`label` is None where the classifier abstains; in a hierarchy it may be a level above the labels."""

    label: str | None
    probabilities: Mapping[str, float]  # of each label; they add up to one

    @property
    def confidence(self) -> float:
        """Probability of the label; where there is none, of the likeliest."""
        if self.label is None:
            return max(self.probabilities.values())
        return self.probabilities.get(self.label) or levels(self.probabilities)[self.label]


@dataclass(frozen=True)
class Classifier:
    """Sorts texts into labels.

    Args:
        labels: name -> description, which may be empty. Names with "/" are a hierarchy, which is answered from its top
            down: "card/lost" becomes "card" where only so much is sure.
        abstain: least probability of an answer.
        task: what the labels say about a text.
        temperature: what scores are divided by.

    Raises:
        UserError: there are fewer than two labels, or the model cannot score.
    """

    model: Model
    labels: Mapping[str, str]
    abstain: float = 0.0
    task: str = "Classify the text."
    temperature: float = 1.0

    def __post_init__(self):
        if len(self.labels) < 2 or not all(self.labels):
            raise UserError("A classifier needs at least two labels, none of them empty.")
        if not self.model.capabilities.score:
            words = f"{self.model.name} cannot score labels."
            raise UserError(words, hint="Use a local model: a folder or a .gguf file.")

    def __call__(self, text: str) -> Classified:
        """Raises ContextFull: the text and the labels do not fit into the model's context."""
        shares = softmax([score / self.temperature for score in self.scores(text)])
        probabilities = dict(zip(self.labels, shares, strict=True))
        return Classified(deepest(probabilities, self.abstain), probabilities)

    def classify(self, texts: Sequence[str]) -> list[Classified]:
        return [self(text) for text in texts]

    def scores(self, text: str) -> list[float]:
        """Log-probability of each label, less what it has whatever the text is."""
        return [score - usual for score, usual in zip(self._scores(text), self._usual, strict=True)]

    def calibrated(self, texts: Sequence[str], labels: Sequence[str]) -> "Classifier":
        """The same one with the temperature under which these labels are likeliest.

        Raises:
            UserError: a label is none of the classifier's.
        """
        known = list(self.labels)
        for label in labels:
            if label not in known:
                raise UserError(f'"{label}" is none of the labels.', hint=did_you_mean(label, known))
        right = [known.index(label) for label in labels]
        return replace(self, temperature=fit_temperature([self.scores(text) for text in texts], right))

    @cached_property
    def _usual(self) -> list[float]:
        return self._scores(EMPTY)

    def _scores(self, text: str) -> list[float]:
        lines = [self.task, "Answer with one of these labels and nothing else:", *described(self.labels)]
        return self.model.score([Message("user", "\n".join([*lines, "", f"Text: {text}"]))], list(self.labels))


def deepest(probabilities: Mapping[str, float], least: float) -> str | None:
    """From the top of the hierarchy down, at each level the likeliest, as long as it has the least probability and is
    likelier than the level above on its own."""
    sums = levels(probabilities)
    answer = None
    while below := [name for name in sums if name.rpartition(SEPARATOR)[0] == (answer or "")]:
        best = max(below, key=sums.__getitem__)
        if sums[best] < max(least, probabilities.get(answer or "", 0.0)):
            break
        answer = best
    return answer


def levels(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of all levels of a hierarchy: "card/lost" counts for "card" too."""
    sums: dict[str, float] = {}
    for name, share in probabilities.items():
        steps = name.split(SEPARATOR)
        for depth in range(1, len(steps) + 1):
            if above := SEPARATOR.join(steps[:depth]):  # a name that begins with "/" has no level above it
                sums[above] = sums.get(above, 0.0) + share
    return sums


class MultiClassifier:
    """Any number of labels may hold: each is a question of its own, whose answer is a probability."""

    def __init__(self, model: Model, labels: Mapping[str, str], threshold: float | None = None):
        """`threshold`: least probability of a label that holds; None: 0.5.

        Raises:
            UserError: there is no label, or the model cannot score.
        """
        if not labels or not all(labels):
            raise UserError("A classifier needs labels, none of them empty.")
        self.threshold = 0.5 if threshold is None else threshold
        answers = {"yes": "", "no": ""}
        self._judges = {name: Classifier(model, answers, task=_holds(name, about)) for name, about in labels.items()}

    def __call__(self, text: str) -> dict[str, float]:
        """The labels that hold, each with its probability."""
        shares = {name: judge(text).probabilities["yes"] for name, judge in self._judges.items()}
        return {name: share for name, share in shares.items() if share >= self.threshold}


def _holds(name: str, about: str) -> str:
    what = f'"{name}" ({about})' if about else f'"{name}"'
    return f"Does the label {what} hold for the text?"
