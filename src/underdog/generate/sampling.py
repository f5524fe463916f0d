"""Drawing the next token. Shapes: R rows, V vocabulary."""

import math

import torch
from torch import Tensor

from underdog.generate.interface import Sampling


def choose(logits_RV: Tensor, sampling: Sampling, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws one id [R] for each row; returns it with its log-probability [R] under the tempered distribution."""
    if sampling.temperature == 0:
        logprobs_RV = logits_RV.log_softmax(-1)
        ids_R = logprobs_RV.argmax(-1)
    else:
        logprobs_RV = (logits_RV / sampling.temperature).log_softmax(-1)
        if sampling.top_k or sampling.top_p < 1:
            logprobs_RV = _truncate(logprobs_RV, sampling.top_k, sampling.top_p).log_softmax(-1)
        if sampling.min_p > 0:
            least_R1 = logprobs_RV.amax(-1, keepdim=True) + math.log(sampling.min_p)
            logprobs_RV = logprobs_RV.where(logprobs_RV >= least_R1, -torch.inf).log_softmax(-1)
        ids_R = _draw(logprobs_RV, random)
    return ids_R, logprobs_RV.gather(-1, ids_R[:, None]).squeeze(-1)


def _draw(logprobs_RV: Tensor, random: torch.Generator) -> Tensor:
    """One id [R] for each row by inverting its distribution: one random number a row, not one a token."""
    mass_RV = logprobs_RV.exp().cumsum(-1)
    total_R1 = mass_RV[:, -1:]
    at_R1 = torch.rand(total_R1.shape, generator=random) * total_R1
    below_R1 = torch.nextafter(total_R1, torch.zeros(()))  # rounding must not lead past the last possible id
    return torch.searchsorted(mass_RV, torch.minimum(at_R1, below_R1), right=True).squeeze(-1)


def _truncate(logprobs_RV: Tensor, top_k: int, top_p: float) -> Tensor:
    """Rules out all but the `top_k` most likely ids, and of those all beyond a probability mass of `top_p`."""
    ordered_RV, order_RV = logprobs_RV.sort(-1, descending=True)
    keep_RV = torch.ones_like(ordered_RV, dtype=torch.bool)
    if top_k:
        keep_RV[:, top_k:] = False
    mass_before_RV = ordered_RV.exp().cumsum(-1) - ordered_RV.exp()
    keep_RV &= mass_before_RV < top_p
    keep_RV[:, 0] = True
    return torch.full_like(logprobs_RV, -torch.inf).scatter(
        -1, order_RV, ordered_RV.where(keep_RV, torch.tensor(-torch.inf))
    )
