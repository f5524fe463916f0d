"""Who answers a text: a service, the local model, or a large one.

The local classifier answers what it is sure enough of; a threshold fitted on held-out rows keeps its errors under a
stated share (`route.fit_threshold`). A label may belong to a service. All else goes to the large model, which answers
under the same labels, where there is one.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from underdog.errors import UserError, did_you_mean
from underdog.generate.session import Model
from underdog.generate.structure import Structure
from underdog.tasks.ask import ask, described, object_of
from underdog.tasks.classify import Classified
from underdog.tasks.route import Threshold, fit_threshold, risk_coverage_area

LOCAL, LARGE = "local", "large"


@dataclass(frozen=True)
class Routed:
    """`to`: "local", "large" or a service's name. `label` is None where the large model is to find it."""

    to: str
    label: str | None
    confidence: float  # of the local classifier


@dataclass(frozen=True)
class Held:
    """What held-out rows say of a threshold."""

    threshold: Threshold
    area: float  # under the risk-coverage curve: the error among the surest, averaged over all shares kept
    saved: float  # share of the cost of sending everything to the large model


@dataclass(frozen=True)
class Router:
    """Sends texts to whoever is to answer them.

    Args:
        classifier: a text -> labels with probabilities (`classify.Classifier`, `tuned.Tuned`).
        least: confidence from which on its answer stands.
        services: label -> the service that takes its texts; "large" for a label that means "none of these".
        large: asked for the label of what is not kept; None: the caller does that.
        labels: name -> description, for the large model.
    """

    classifier: Callable[[str], Classified]
    least: float
    services: Mapping[str, str] = field(default_factory=dict)
    large: Model | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        for label in self.services:
            if self.labels and label not in self.labels:
                raise UserError(f'"{label}" is none of the labels.', hint=did_you_mean(label, self.labels))
        if self.large and not self.labels:
            raise UserError("A large model needs the labels that it may answer with.")

    def __call__(self, text: str) -> Routed:
        found = self.classifier(text)
        to = self.services.get(found.label or "", LOCAL)
        if found.label is not None and found.confidence >= self.least and to != LARGE:
            return Routed(to, found.label, found.confidence)
        label = ask_label(self.large, self.labels, text) if self.large else None
        return Routed(LARGE, label, found.confidence)


def ask_label(model: Model, labels: Mapping[str, str], text: str) -> str:
    """The label that a model writes, under a structure that leaves it no other words."""
    asked = ["Answer with the label of the text.", *described(labels), "", f"Text: {text}"]
    structure = Structure.json_schema(object_of(label={"enum": list(labels)}))
    return ask(model, "\n".join(asked), structure)["label"]


def hold_out(
    found: Sequence[Classified],
    labels: Sequence[str],
    error: float,
    confidence: float = 0.95,
    local_cost: float = 0.0,
    large_cost: float = 1.0,
    away: Collection[str] = (),
) -> Held:
    """The threshold under which at most `error` of what is kept is wrong, judged on rows that the classifier never saw.

    Args:
        found: what the classifier made of them.
        labels: the right ones; rows that no label fits have one that the classifier does not know.
        local_cost, large_cost: of one text; the local model reads all of them.
        away: labels whose texts are never kept.
    """
    right = [one.label == label for one, label in zip(found, labels, strict=True)]
    confidences = [0.0 if one.label in away else one.confidence for one in found]
    threshold = fit_threshold(confidences, right, error, confidence)
    spent = local_cost + (1 - threshold.kept) * large_cost
    return Held(threshold, risk_coverage_area(confidences, right), 1 - spent / large_cost)
