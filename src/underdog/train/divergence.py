"""How far a student's next-token distribution is from a teacher's, where the teacher says its likeliest tokens only.

All else that the teacher holds possible is one more outcome, the tail: a divergence over k + 1 outcomes, which is never
more than the one over the whole vocabulary, and equal to it where k is the vocabulary.

Shapes: M tokens, D width, V vocabulary, k tokens that the teacher names.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from underdog.model.decoder import Decoder
from underdog.train.logprobs import chunks

LEAST = -80.0  # log-probability of a tail: less is as good as nothing, and -inf has no difference


@dataclass(frozen=True)
class Named:
    """A teacher's distributions: its k likeliest tokens, their log-probabilities, and that of all others, in nats."""

    ids_Mk: Tensor  # int64
    logprobs_Mk: Tensor  # float32
    tail_M: Tensor  # float32; -inf where every token is named

    def __getitem__(self, part: slice | Tensor) -> "Named":
        return Named(self.ids_Mk[part], self.logprobs_Mk[part], self.tail_M[part])


@torch.no_grad()
def name_likeliest(model: Decoder, hidden_MD: Tensor, k: int, temperature: float = 1.0) -> Named:
    """What a teacher says at its hidden states; `k` = 0 names every token."""
    vocabulary = model.lm_head.weight.shape[0]
    k = min(k or vocabulary, vocabulary)
    found = []
    for part in chunks(len(hidden_MD), vocabulary):
        found.append(likeliest(model.logits(hidden_MD[part]).float() / temperature, k))
    return Named(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def likeliest(scores_MV: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids [M, k] and log-probabilities [M, k] of the k highest scores, and the log-probability [M] of all others."""
    logprobs_MV = scores_MV.log_softmax(-1)
    top = torch.topk(logprobs_MV, k, dim=-1, sorted=False)
    return top.indices, top.values, logprobs_MV.scatter(-1, top.indices, -math.inf).logsumexp(-1)


def divergence(hidden_MD: Tensor, weight_VD: Tensor, teacher: Named, beta: float, temperature: float = 1.0) -> Tensor:
    """Generalised Jensen-Shannon divergence [M] of student and teacher (GKD, arXiv 2306.13649, equation 1), in nats.

    `beta` 0 is the forward KL(teacher || student), 1 the reverse KL(student || teacher), and between them
    `beta KL(teacher || mix) + (1 - beta) KL(student || mix)`, mix = beta teacher + (1 - beta) student. The teacher's
    log-probabilities are at `temperature`; the student's scores are divided by it.
    """

    def of(hidden: Tensor, weight: Tensor, part: slice) -> Tensor:
        return _of_chunk(hidden @ weight.T / temperature, teacher[part], beta)

    # Scores are computed again in the backward pass: memory never holds M * V of them.
    parts = [
        checkpoint(of, hidden_MD[part], weight_VD, part, use_reentrant=False, preserve_rng_state=False)
        for part in chunks(len(hidden_MD), len(weight_VD))
    ]
    return torch.cat(parts) if parts else hidden_MD.new_zeros(0)


def _of_chunk(scores_MV: Tensor, teacher: Named, beta: float) -> Tensor:
    student = scores_MV.log_softmax(-1).gather(-1, teacher.ids_Mk)
    named = teacher.logprobs_Mk
    if teacher.ids_Mk.shape[1] < scores_MV.shape[1]:
        others = scores_MV.scatter(-1, teacher.ids_Mk, -math.inf)
        tail = others.logsumexp(-1, keepdim=True) - scores_MV.logsumexp(-1, keepdim=True)
        left = teacher.tail_M[:, None].clamp(min=LEAST)
        student, named = torch.cat([student, tail], -1), torch.cat([named, left], -1)
    if beta == 0:
        return _kl(named, student)
    if beta == 1:
        return _kl(student, named)
    mix = torch.logaddexp(named + math.log(beta), student + math.log1p(-beta))
    return beta * _kl(named, mix) + (1 - beta) * _kl(student, mix)


def _kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) [M] of log-probabilities."""
    return (p.exp() * (p - q)).sum(-1)
