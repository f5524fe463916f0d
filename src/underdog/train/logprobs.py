"""Log-probabilities of the target tokens without ever holding the scores of a whole batch.

Shapes: N tokens, D width, V vocabulary.
"""

import torch
from torch import Tensor

CHUNK = 1024  # tokens whose [CHUNK, V] scores exist at once; small enough to stay in the CPU's cache


class _TargetLogprobs(torch.autograd.Function):
    """log softmax(hidden @ weight.T / temperature)[target], and the entropy of each distribution.

    The backward pass computes the scores of a chunk again instead of keeping them: memory is CHUNK * V, not
    N * V. The entropy is for watching and carries no gradient.
    """

    @staticmethod
    def forward(ctx, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float):
        logprobs, entropies, normalisers = [], [], []
        for hidden, targets in zip(hidden_ND.split(CHUNK), targets_N.split(CHUNK), strict=True):
            scores = hidden @ weight_VD.T / temperature
            normaliser = scores.logsumexp(-1)
            logprobs.append(scores.gather(-1, targets[:, None]).squeeze(-1) - normaliser)
            probabilities = (scores - normaliser[:, None]).exp_()
            entropies.append(normaliser - (probabilities * scores).sum(-1))
            normalisers.append(normaliser)
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N, torch.cat(normalisers))
        ctx.temperature = temperature
        entropy_N = torch.cat(entropies)
        ctx.mark_non_differentiable(entropy_N)
        return torch.cat(logprobs), entropy_N

    @staticmethod
    def backward(ctx, grad_N: Tensor, _):
        hidden_ND, weight_VD, targets_N, normaliser_N = ctx.saved_tensors
        grad_hidden = torch.empty_like(hidden_ND)
        grad_weight = torch.zeros_like(weight_VD)
        for begin in range(0, len(targets_N), CHUNK):
            part = slice(begin, begin + CHUNK)
            hidden, targets, grad = hidden_ND[part], targets_N[part], grad_N[part, None]
            slope = (hidden @ weight_VD.T / ctx.temperature).sub_(normaliser_N[part, None]).exp_().mul_(-grad)
            slope.scatter_add_(-1, targets[:, None], grad)
            slope /= ctx.temperature
            grad_hidden[part] = slope @ weight_VD
            grad_weight.addmm_(slope.T, hidden)
        return grad_hidden, grad_weight, None, None


def target_logprobs(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Returns the targets' log-probabilities [N] (with gradient) and the entropies [N] (without), in nats."""
    return _TargetLogprobs.apply(hidden_ND, weight_VD, targets_N, temperature)
