"""An average of the weights over a run's last steps: most of what decaying the rate further would bring, for free."""

import torch
from torch import nn

from underdog.model.decoder import Decoder


class Average(nn.Module):
    """A moving average of a model's weights (EMA); a module, so that it is saved and resumed like the model.

    After t steps it is their plain mean until that is as slow as `decay`: w̄ ← w̄ + max(1 / t, 1 - decay) (w - w̄).
    So nothing of the weights before the first step is left in it, however few the steps are.
    """

    def __init__(self, model: Decoder, decay: float):
        super().__init__()
        self._model = [model]  # in a list, so that its weights are not this module's
        self._decay = decay
        self.weights = nn.ParameterList(
            nn.Parameter(weight.detach().clone(), requires_grad=False) for weight in model.parameters()
        )

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the model after step `step` (from 0) of the stretch that is averaged."""
        share = max(1 / (step + 1), 1 - self._decay)
        for mean, weight in zip(self.weights, self._model[0].parameters(), strict=True):
            mean.lerp_(weight, share)

    @torch.no_grad()
    def put(self) -> None:
        """Makes the average the model."""
        for mean, weight in zip(self.weights, self._model[0].parameters(), strict=True):
            weight.copy_(mean)
