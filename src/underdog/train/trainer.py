"""One loop for every objective: parts of a batch in, one optimizer step out."""

from collections.abc import Iterable

import torch

from underdog.errors import UserError
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Optimizer
from underdog.train.batch import Batch
from underdog.train.objectives import Objective


class Trainer:
    """A model, its optimizer and what it is trained for."""

    def __init__(self, model: Decoder, settings: Optimizer, objective: Objective):
        self.model = model
        self.objective = objective
        self._settings = settings
        self.optimizer = adamw(model, settings)

    def update(self, parts: Iterable[Batch], lr: float) -> dict[str, float]:
        """One step over all parts; every component is divided by the step's number of weighted tokens.

        Returns the components, `loss` (their sum), the watched figures and the gradient's norm.
        """
        parts = list(parts)
        count = float(sum(part.weights_N.sum() for part in parts))
        figures: dict[str, float] = {}
        self.optimizer.zero_grad(set_to_none=True)
        for part in parts:
            sums = self.objective(self.model, part)
            loss = sum(sums.loss.values()) / count
            loss.backward()
            for name, value in (*sums.loss.items(), *sums.watch.items(), ("loss", loss.detach() * count)):
                figures[name] = figures.get(name, 0.0) + float(value.detach()) / count
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.clip)
        if not torch.isfinite(norm):
            raise UserError(
                f"The gradient is not finite (loss {figures['loss']}): training has diverged.",
                hint="Lower the learning rate. The state before this step is kept.",
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        return {**figures, "gradient_norm": float(norm), "lr": lr}

    def clear_optimizer(self) -> None:
        """Forgets the optimizer's moments (ProRL's reset)."""
        self.optimizer = adamw(self.model, self._settings)


def adamw(model: Decoder, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW whose weight decay spares vectors (norms)."""
    weights = list(model.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(settings.beta1, settings.beta2), eps=1e-8, fused=True)
