"""What a training step reads: sequences laid end to end, with a weight for each token."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from underdog.model.attention import Attention, Packed, Span, end_to_end


@dataclass(frozen=True)
class Batch:
    """N tokens of whole sequences. Token i predicts `targets_N[i]` with weight `weights_N[i]`."""

    ids_N: Tensor  # int64
    targets_N: Tensor  # int64
    weights_N: Tensor  # float32; 0 where the prediction carries no loss
    spans: Sequence[Span]  # the sequences: attention never crosses from one to the next
    extra: Mapping[str, Tensor] = field(default_factory=dict)  # [N, …] each: advantages, a sampler's log-probabilities
    counts: Mapping[str, float] = field(default_factory=dict)  # what else than tokens components are divided by

    @property
    def tokens(self) -> int:
        return len(self.ids_N)

    def attention(self) -> Attention:
        """What the model needs for a forward pass over the batch."""
        return Packed(self.spans)

    def each(self, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """The fields that hold a value for each token, changed."""
        changed = {name: change(getattr(self, name)) for name in ("ids_N", "targets_N", "weights_N")}
        return {**changed, "extra": {name: change(values) for name, values in self.extra.items()}}

    def to(self, device: torch.device) -> "Batch":
        """The batch where the model is."""
        if self.ids_N.device == device:
            return self
        return replace(self, **self.each(lambda values: values.to(device)))


@dataclass(frozen=True)
class Example:
    """One conversation: `mask[i]` is True where `ids[i]` is to be predicted."""

    ids: Sequence[int]
    mask: Sequence[bool]


def collate(examples: Sequence[Example]) -> Batch:
    """Lays examples end to end; each token's target is the one after it."""
    return Batch(
        torch.tensor([token for example in examples for token in example.ids[:-1]]),
        torch.tensor([token for example in examples for token in example.ids[1:]]),
        torch.tensor([taught for example in examples for taught in example.mask[1:]], dtype=torch.float32),
        end_to_end([len(example.ids) - 1 for example in examples]),
    )


@dataclass(frozen=True)
class Answer:
    """What a policy produced to a prompt, with a figure or more for each of its tokens."""

    ids: Sequence[int]
    extra: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Group:
    """The answers to one prompt."""

    prompt: Sequence[int]
    answers: Sequence[Answer]

    @property
    def tokens(self) -> int:
        return len(self.prompt) + sum(len(answer.ids) for answer in self.answers)


def collate_groups(groups: Sequence[Group]) -> Batch:
    """Lays out groups so that each prompt is read once, whatever the number of its answers.

    The prompt's last token opens every answer again, since it predicts a different first token in each. `answer`
    numbers the answers.
    """
    ids: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    spans: list[Span] = []
    extra: dict[str, list[float]] = {name: [] for name in ("answer", *groups[0].answers[0].extra)}

    def lay(tokens: list[int], predicted: list[int], weight: float, figures: Mapping[str, Sequence[float]]) -> None:
        ids.extend(tokens)
        targets.extend(predicted)
        weights.extend([weight] * len(tokens))
        for name, values in extra.items():
            values.extend(figures.get(name, [0.0] * len(tokens)))

    number = 0
    for group in groups:
        *prefix, last = group.prompt
        start = len(ids)
        if prefix:
            spans.append(Span(start, len(prefix)))
            lay(prefix, [*prefix[1:], last], 0.0, {})
        for answer in group.answers:
            spans.append(Span(len(ids), len(answer.ids), start, len(prefix)))
            figures = {"answer": [float(number)] * len(answer.ids), **answer.extra}
            lay([last, *answer.ids[:-1]], list(answer.ids), 1.0, figures)
            number += 1
    return Batch(
        torch.tensor(ids),
        torch.tensor(targets),
        torch.tensor(weights),
        spans,
        {name: torch.tensor(values) for name, values in extra.items()},
    )
