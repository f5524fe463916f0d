"""One loop for every objective: parts of a batch in, one optimizer step out."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from underdog.errors import UserError
from underdog.model.decoder import Decoder
from underdog.model.weights import save_pretrained
from underdog.recipe.schema import Optimizer
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Batch
from underdog.train.objectives import Objective
from underdog.train.optimizers import build_optimizers
from underdog.train.strategy import Local, Strategy, whole


class NotFinite(UserError):
    """A loss or gradient that is no number. The weights and moments are those from before the step."""


class Trainer:
    """A model, its optimizers and what it is trained for; `strategy` says where the model is and who computes what."""

    def __init__(self, model: Decoder, settings: Optimizer, objective: Objective, strategy: Strategy | None = None):
        if model.config.logit_cap:
            raise UserError(
                "This model caps its scores (final_logit_softcapping), and the losses here do not: "
                "it would be trained to something else than it computes.",
                hint="Use it as it is, or start from a model without a cap (Gemma 2 is the family that has one).",
            )
        self.model = model
        self.objective = objective
        self.strategy = strategy or Local()
        self.version = 0  # counts the changes of the weights
        self._settings = settings
        self.strategy.place(model)
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
        figures = self.strategy.gradients(self.model, self.objective, parts)
        norm = whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.clip))
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
        self.version += 1
        return dict(figures)

    def figures(self, parts: Iterable[Batch]) -> dict[str, float]:
        """The components and watched figures of a batch; nothing is learned."""
        figures = self.strategy.gradients(self.model, self.objective, parts)
        self.model.zero_grad(set_to_none=True)
        return dict(figures)

    def copy_to(self, model: Decoder) -> None:
        """Gives another model, placed by the same strategy, the weights as they are now."""
        _copy(self.strategy.weights(self.model), self.strategy.weights(model))

    def copy_from(self, model: Decoder) -> None:
        """Takes over the weights of another model, placed by the same strategy."""
        _copy(self.strategy.weights(model), self.strategy.weights(self.model))
        self.version += 1

    def save(self, tokenizer: Tokenizer, folder: Path) -> None:
        """Writes the model as a Hugging Face folder, once however many processes share it."""
        model = self.strategy.whole(self.model)
        if self.strategy.leads:
            save_pretrained(model, tokenizer, folder)

    def clear_optimizer(self) -> None:
        """Forgets the optimizers' moments (ProRL's reset)."""
        self.optimizers = build_optimizers(self.model, self._settings)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, weight in target.items():
        weight.copy_(source[name])
