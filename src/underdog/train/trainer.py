"""One loop for every objective: parts of a batch in, one optimizer step out."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from underdog.errors import UserError
from underdog.lanes import side_by_side
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Optimizer
from underdog.train.batch import Batch
from underdog.train.objectives import Objective
from underdog.train.optimizers import build_optimizers


class NotFinite(UserError):
    """A loss or gradient that is no number. The weights and moments are those from before the step."""


class Trainer:
    """A model, its optimizers and what it is trained for."""

    def __init__(self, model: Decoder, settings: Optimizer, objective: Objective):
        self.model = model
        self.objective = objective
        self._settings = settings
        self.optimizers = build_optimizers(model, settings)

    def update(
        self,
        parts: Iterable[Batch],
        lr: float,
        accept: Callable[[Mapping[str, float]], bool] = lambda figures: True,
    ) -> dict[str, float]:
        """One step over all parts; every component is divided by the step's number of weighted tokens.

        `accept` is asked with the figures before the weights move: where it says no, they stay as they are.
        Returns the components, `loss` (their sum), the watched figures and the gradient's norm.
        """
        parts = list(parts)
        count = float(sum(part.weights_N.sum() for part in parts))
        figures: dict[str, float] = defaultdict(float)
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.model.zero_grad(set_to_none=True)

        def gradients(part: Batch) -> tuple[Sequence[Tensor], dict[str, float]]:
            sums = self.objective(self.model, part)
            loss = sum(sums.loss.values()) / count
            found = {name: float(value.detach()) / count for name, value in (*sums.loss.items(), *sums.watch.items())}
            return torch.autograd.grad(loss, weights, materialize_grads=True), {**found, "loss": float(loss.detach())}

        for slopes, found in side_by_side(gradients, parts):
            for weight, slope in zip(weights, slopes, strict=True):
                weight.grad = slope if weight.grad is None else weight.grad.add_(slope)
            for name, value in found.items():
                figures[name] += value
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.clip)
        if not torch.isfinite(norm):
            raise NotFinite(
                f"The gradient is not finite (loss {figures['loss']}): training has diverged.",
                hint="Lower the learning rate. The state before this step is kept.",
            )
        figures |= {"gradient_norm": float(norm), "lr": lr}
        if not accept(figures):
            return dict(figures)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
        return dict(figures)

    def clear_optimizer(self) -> None:
        """Forgets the optimizers' moments (ProRL's reset)."""
        self.optimizers = build_optimizers(self.model, self._settings)
