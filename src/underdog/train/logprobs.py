"""Losses over the vocabulary without ever holding the scores of a whole batch.

Scores are products of bfloat16 where the hidden states are, float32 sums of them everywhere.

Shapes: N tokens, D width, V vocabulary.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

MOST_SCORES = 2**24  # that exist at once: 64 MiB, a fraction of what a vocabulary of 166k tokens would need
MOST_TOKENS = 1024  # whose scores exist at once; with small vocabularies few enough to stay in the CPU's cache


def chunks(tokens: int, vocabulary: int) -> Iterator[slice]:
    """Runs of tokens whose scores are computed together."""
    size = max(1, min(MOST_TOKENS, MOST_SCORES // vocabulary))
    return (slice(begin, begin + size) for begin in range(0, tokens, size))


class _TargetLogprobs(torch.autograd.Function):
    """log softmax(hidden @ weight.T / temperature)[target], and the entropy of each distribution.

    The backward pass computes the scores again, chunk by chunk, instead of keeping them: memory never holds N * V.
    """

    @staticmethod
    def forward(ctx, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float):
        weight, exact = weight_VD.to(hidden_ND.dtype), _exact(hidden_ND)
        logprob_N, entropy_N, normaliser_N = hidden_ND.new_empty(3, len(targets_N), dtype=exact)
        for part in chunks(len(targets_N), len(weight)):
            targets = targets_N[part, None]
            scores = (hidden_ND[part] / temperature @ weight.T).to(exact)
            logprobs = scores.log_softmax(-1)
            logprob_N[part] = logprobs.gather(-1, targets).squeeze(-1)
            normaliser_N[part] = scores.gather(-1, targets).squeeze(-1) - logprob_N[part]
            entropy_N[part] = -torch.linalg.vecdot(torch.exp(logprobs, out=scores), logprobs)
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N, normaliser_N, entropy_N)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)  # entropies are mostly watched
        return logprob_N, entropy_N

    @staticmethod
    def backward(ctx, grad_N: Tensor | None, grad_entropy_N: Tensor | None):
        hidden_ND, weight_VD, targets_N, normaliser_N, entropy_N = ctx.saved_tensors
        grad_N = torch.zeros_like(normaliser_N) if grad_N is None else grad_N
        weight, exact = weight_VD.to(hidden_ND.dtype), normaliser_N.dtype
        grad_hidden = torch.empty_like(hidden_ND)
        grad_weight = torch.zeros_like(weight_VD, dtype=exact) if ctx.needs_input_grad[1] else None
        for part in chunks(len(targets_N), len(weight)):
            hidden, targets, grad = hidden_ND[part] / ctx.temperature, targets_N[part], grad_N[part, None]
            logprobs = (hidden @ weight.T).to(exact).sub_(normaliser_N[part, None])
            factor = -grad
            if grad_entropy_N is not None:  # slope of the entropy: -p (log p + entropy)
                factor = factor - grad_entropy_N[part, None] * (logprobs + entropy_N[part, None])
            slope = logprobs.exp_().mul_(factor).scatter_add_(-1, targets[:, None], grad)
            _spread(slope, hidden, weight, grad_hidden[part], grad_weight)
        return grad_hidden.div_(ctx.temperature), grad_weight, None, None


class _CrossEntropy(torch.autograd.Function):
    """sum of -weight * log softmax(hidden @ weight.T)[target], and sum of weight * z * normaliser².

    The loss is linear in the log-probabilities, so its slope is known in the forward pass and the scores are
    computed once. The two sums are meant to be added up: the first carries the slope of both.
    """

    @staticmethod
    def forward(ctx, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, weights_N: Tensor, z: float):
        weight, exact = weight_VD.to(hidden_ND.dtype), _exact(hidden_ND)
        grad_hidden = torch.empty_like(hidden_ND)
        grad_weight = torch.zeros_like(weight_VD, dtype=exact) if weight_VD.requires_grad else None
        total, squares = hidden_ND.new_zeros((), dtype=exact), hidden_ND.new_zeros((), dtype=exact)
        for part in chunks(len(targets_N), len(weight)):
            hidden, targets, weights = hidden_ND[part], targets_N[part, None], weights_N[part, None]
            scores = (hidden @ weight.T).to(exact)
            logprobs = scores.log_softmax(-1)
            logprob = logprobs.gather(-1, targets)
            total -= (weights * logprob).sum()
            slopes = weights
            if z:
                normaliser = scores.gather(-1, targets) - logprob
                squares += z * (weights * normaliser.square()).sum()
                slopes = weights * (1 + 2 * z * normaliser)
            slope = torch.exp(logprobs, out=scores).mul_(slopes).scatter_add_(-1, targets, -weights)
            _spread(slope, hidden, weight, grad_hidden[part], grad_weight)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.mark_non_differentiable(squares)
        return total, squares

    @staticmethod
    def backward(ctx, grad: Tensor, _):
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad, None if grad_weight is None else grad_weight * grad, None, None, None


def _exact(hidden: Tensor) -> torch.dtype:
    """What sums over tokens and over the vocabulary are kept in."""
    return torch.promote_types(hidden.dtype, torch.float32)


def _spread(slope: Tensor, hidden: Tensor, weight: Tensor, grad_hidden: Tensor, grad_weight: Tensor | None) -> None:
    """The gradient of a chunk's scores [n, V] on to its hidden states, and added to the weights' unless they are
    frozen."""
    slope = slope.to(hidden.dtype)
    torch.mm(slope, weight, out=grad_hidden)
    if grad_weight is None:
        return
    if hidden.dtype == grad_weight.dtype:
        grad_weight.addmm_(slope.T, hidden)
    else:
        grad_weight += slope.T @ hidden


def cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, weights_N: Tensor, z: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Weighted sum of the targets' cross-entropies, in nats, and `z` times that of the squared log of the softmax's
    normaliser (z-loss: PaLM, arXiv 2204.02311). To be added up: the gradient of both flows through the first."""
    return _CrossEntropy.apply(hidden_ND, weight_VD, targets_N, weights_N, z)


def target_logprobs(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Returns the targets' log-probabilities [N] and the entropies [N] of their distributions, in nats."""
    return _TargetLogprobs.apply(hidden_ND, weight_VD, targets_N, temperature)
