"""AdamW and Muon."""

import torch
from torch import Tensor, nn

from underdog.lanes import side_by_side
from underdog.recipe.schema import Optimizer
from underdog.train.strategy import on_whole

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic coefficients of Muon (Jordan et al., 2024)
ROUNDS = 5
RMS_OF_ADAMW = 0.2  # updates of this RMS let Muon take AdamW's learning rates (Moonlight, arXiv 2502.16982)


class Muon(torch.optim.Optimizer):
    """Momentum whose update for each weight matrix is made (nearly) orthogonal.

    PyTorch's own Muon computes in bfloat16, which CPUs without bf16 units emulate at a crawl; this one keeps the
    weights' dtype.
    """

    def __init__(self, weights: list[Tensor], momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(weights, {"lr": 0.0, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            momenta = [self._momentum(weight, group["momentum"]) for weight in weights]
            for weight, update in zip(weights, side_by_side(on_whole(orthogonal), momenta), strict=True):
                rate = group["lr"] * RMS_OF_ADAMW * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _momentum(self, weight: Tensor, momentum: float) -> Tensor:
        """Nesterov momentum of the gradient."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].mul_(momentum).add_(weight.grad)
        return weight.grad + momentum * state["momentum"]


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix [rows, columns], roughly: singular values end between 0.7 and 1.2."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def build_optimizers(model: nn.Module, settings: Optimizer) -> list[torch.optim.Optimizer]:
    """AdamW for every weight that is not frozen, or Muon for the matrices inside the blocks and AdamW for the others.

    Weight decay spares vectors.
    """
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    matrices = [w for name, w in trained.items() if w.ndim == 2 and ".layers." in name]
    if settings.kind == "adamw":
        matrices = []
    taken = {id(weight) for weight in matrices}
    rest = [weight for weight in trained.values() if id(weight) not in taken]
    groups = [
        {"params": [w for w in rest if w.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [w for w in rest if w.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=0.0, betas=(settings.beta1, settings.beta2), eps=1e-8, fused=True)
    return [Muon(matrices, settings.beta2, settings.weight_decay), adamw] if matrices else [adamw]
