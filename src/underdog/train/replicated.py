"""Several processes hold a copy of one model each: for models whose answers are sampled by every process.

Each computes its share of a batch's parts; the gradients are summed, and every process makes the same step. A sum is
the same bits in all of them, so the copies never part.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.distributed as distributed
from torch import Tensor

from underdog import world
from underdog.model.decoder import Decoder
from underdog.train.batch import Batch
from underdog.train.objectives import Objective
from underdog.train.strategy import Counts, Figures, Local, T


class Replicated(Local):
    """The whole model in every process; the parts of a batch dealt out among them."""

    def __init__(self):
        super().__init__()
        self.among = world.place()
        self.leads = self.among.rank == 0

    def own(self, parts: Sequence[Batch]) -> Sequence[Batch]:
        return parts[self.among.rank :: self.among.processes]

    def _sums(self, model: Decoder, objective: Objective, parts: Sequence[Batch], counts: Counts) -> Figures:
        own = super()._sums(model, objective, self.own(parts), counts)
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        slopes = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        together = torch.cat([slope.flatten() for slope in slopes])
        distributed.all_reduce(together)
        for weight, slope in zip(weights, together.split([weight.numel() for weight in weights]), strict=True):
            weight.grad = slope.view_as(weight)
        figures: Figures = defaultdict(float)
        for found in self.among.gathered(dict(own)):
            for name, value in found.items():
                figures[name] += value
        return figures

    def save(self, tensors: Mapping[str, Tensor], folder: Path) -> None:
        if self.leads:
            super().save(tensors, folder)

    def agree(self, value: T) -> T:
        return world.agree(value)
