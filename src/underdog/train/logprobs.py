"""Losses over the vocabulary without ever holding the scores of a whole batch.

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


class _CrossEntropy(torch.autograd.Function):
    """sum of -weight * log softmax(hidden @ weight.T)[target], and sum of weight * z * normaliser².

    The loss is linear in the log-probabilities, so its slope is known in the forward pass and the scores are
    computed once. The two sums are meant to be added up: the first carries the slope of both.
    """

    @staticmethod
    def forward(ctx, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, weights_N: Tensor, z: float):
        grad_hidden, grad_weight = torch.empty_like(hidden_ND), torch.zeros_like(weight_VD)
        total, squares = hidden_ND.new_zeros(()), hidden_ND.new_zeros(())
        for begin in range(0, len(targets_N), CHUNK):
            part = slice(begin, begin + CHUNK)
            hidden, targets, weights = hidden_ND[part], targets_N[part, None], weights_N[part, None]
            scores = hidden @ weight_VD.T
            normaliser = scores.logsumexp(-1, keepdim=True)
            total += (weights * (normaliser - scores.gather(-1, targets))).sum()
            slopes = weights
            if z:
                squares += z * (weights * normaliser.square()).sum()
                slopes = weights * (1 + 2 * z * normaliser)
            slope = scores.sub_(normaliser).exp_().mul_(slopes).scatter_add_(-1, targets, -weights)
            torch.mm(slope, weight_VD, out=grad_hidden[part])
            grad_weight.addmm_(slope.T, hidden)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.mark_non_differentiable(squares)
        return total, squares

    @staticmethod
    def backward(ctx, grad: Tensor, _):
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad, grad_weight * grad, None, None, None


def cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, weights_N: Tensor, z: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Weighted sum of the targets' cross-entropies, in nats, and `z` times that of the squared log of the softmax's
    normaliser (z-loss: PaLM, arXiv 2204.02311). To be added up: the gradient of both flows through the first."""
    return _CrossEntropy.apply(hidden_ND, weight_VD, targets_N, weights_N, z)


def target_logprobs(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Returns the targets' log-probabilities [N] (with gradient) and the entropies [N] (without), in nats."""
    return _TargetLogprobs.apply(hidden_ND, weight_VD, targets_N, temperature)
