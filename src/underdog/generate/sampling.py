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
        return ids_R, logprobs_RV.gather(-1, ids_R[:, None]).squeeze(-1)
    scores_RV = logits_RV if sampling.temperature == 1 else logits_RV / sampling.temperature
    if sampling.top_k or sampling.top_p < 1:
        scores_RV = _truncate(scores_RV, sampling.top_k, sampling.top_p)
    best_R1 = scores_RV.amax(-1, keepdim=True)
    if sampling.min_p > 0:
        scores_RV = scores_RV.where(scores_RV >= best_R1 + math.log(sampling.min_p), -torch.inf)
    mass_RV = (scores_RV - best_R1).exp_().cumsum_(-1)  # summed in float64
    ids_R1 = _draw(mass_RV, random)
    logprobs_R1 = scores_RV.gather(-1, ids_R1) - best_R1 - mass_RV[:, -1:].log()
    return ids_R1.squeeze(-1), logprobs_R1.squeeze(-1)


def _draw(mass_RV: Tensor, random: torch.Generator) -> Tensor:
    """One id [R, 1] for each row by inverting its distribution: one random number a row, not one a token."""
    total_R1 = mass_RV[:, -1:]
    at_R1 = torch.rand(total_R1.shape, generator=random) * total_R1
    below_R1 = torch.nextafter(total_R1, torch.zeros(()))  # rounding must not lead past the last possible id
    return torch.searchsorted(mass_RV, torch.minimum(at_R1, below_R1), right=True)


def _truncate(scores_RV: Tensor, top_k: int, top_p: float) -> Tensor:
    """Rules out all but the `top_k` most likely ids, and of those all beyond a probability mass of `top_p`."""
    ordered_RV, order_RV = scores_RV.sort(-1, descending=True)
    keep_RV = torch.ones_like(ordered_RV, dtype=torch.bool)
    if top_k:
        keep_RV[:, top_k:] = False
    share_RV = ordered_RV.softmax(-1)
    mass_before_RV = share_RV.cumsum(-1) - share_RV
    keep_RV &= mass_before_RV < top_p
    keep_RV[:, 0] = True
    return torch.full_like(scores_RV, -torch.inf).scatter(
        -1, order_RV, ordered_RV.where(keep_RV, torch.tensor(-torch.inf))
    )
