"""AdamW and Muon."""

from collections import defaultdict

import torch
from torch import Tensor, nn

from underdog.recipe.schema import Optimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic coefficients of Muon (Jordan et al., 2024)
ROUNDS = 5
RMS_OF_ADAMW = 0.2  # updates of this RMS let Muon take AdamW's learning rates (Moonlight, arXiv 2502.16982)


class Muon(torch.optim.Optimizer):
    """Momentum whose update for each weight matrix is made (nearly) orthogonal.

    PyTorch's own Muon computes in bfloat16, which CPUs without bf16 units emulate at a crawl; this one keeps the
    weights' dtype and orthogonalises all matrices of one shape together.
    """

    def __init__(self, weights: list[Tensor], momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(weights, {"lr": 0.0, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape[weight.shape].append(weight)
            for shape, weights in by_shape.items():
                updates = orthogonal(torch.stack([self._momentum(weight, group["momentum"]) for weight in weights]))
                rate = group["lr"] * RMS_OF_ADAMW * max(shape) ** 0.5
                for weight, update in zip(weights, updates, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _momentum(self, weight: Tensor, momentum: float) -> Tensor:
        """Nesterov momentum of the gradient."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].mul_(momentum).add_(weight.grad)
        return weight.grad + momentum * state["momentum"]


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices [n, rows, columns], roughly: singular values end between 0.7 and 1.2."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def build_optimizers(model: nn.Module, settings: Optimizer) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the matrices inside the blocks and AdamW for embeddings and norms.

    Weight decay spares vectors.
    """
    matrices = [w for name, w in model.named_parameters() if w.ndim == 2 and ".layers." in name]
    if settings.kind == "adamw":
        matrices = []
    taken = {id(weight) for weight in matrices}
    rest = [weight for weight in model.parameters() if id(weight) not in taken]
    groups = [
        {"params": [w for w in rest if w.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [w for w in rest if w.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=0.0, betas=(settings.beta1, settings.beta2), eps=1e-8, fused=True)
    return [Muon(matrices, settings.beta2, settings.weight_decay), adamw] if matrices else [adamw]
