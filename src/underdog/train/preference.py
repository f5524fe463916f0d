"""Objectives that learn from a teacher and from pairs: distillation, DPO, and dual preference distillation (DPD)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from underdog.model.decoder import Decoder
from underdog.train.batch import Batch
from underdog.train.divergence import Named, divergence
from underdog.train.logprobs import target_logprobs
from underdog.train.objectives import Sums, taught_hidden

PAIRS, POSITIVE, NEGATIVE = "pairs", "positive", "negative"
"""What components are divided by: pairs, and the tokens of either side."""


@dataclass(frozen=True)
class Distil:
    """The divergence from the teacher at every token that carries weight.

    The batch carries `teacher_ids` and `teacher_logprobs` [N, k] and `teacher_tail` [N].
    """

    beta: float
    temperature: float = 1.0

    def __call__(self, model: Decoder, batch: Batch) -> Sums:
        batch = batch.to(model.lm_head.weight.device)
        hidden_MD, taught_M = taught_hidden(model, batch)
        apart_M = divergence(hidden_MD, model.lm_head.weight, named(batch, taught_M), self.beta, self.temperature)
        return Sums({"distillation": (apart_M * batch.weights_N[taught_M]).sum()}, {})


@dataclass(frozen=True)
class Dpd:
    """`L = L_dpo + L_pos + L_neg` with weights (Nanbeige4-3B, dual preference distillation; the loss is rebuilt from
    the paper's figure).

    L_dpo is that of DPO (arXiv 2305.18290, equation 7) and a mean over pairs; L_pos and L_neg are the divergence from
    the teacher on the better and on the worse answer, each a mean over its tokens. A weight of 0 leaves its term out.

    Its groups are pairs. The batch carries, by token, `sign` (1 in the better answer, -1 in the worse), `reference`
    (its log-probability under the reference policy), what `Distil` reads; and the counts.
    """

    preference: float
    positive: float
    negative: float
    dpo_beta: float
    beta: float
    temperature: float = 1.0

    def __call__(self, model: Decoder, batch: Batch) -> Sums:
        batch = batch.to(model.lm_head.weight.device)
        hidden_MD, taught_M = taught_hidden(model, batch)
        sign_M = batch.extra["sign"][taught_M]
        loss, watch, per = {}, {}, {}
        if self.preference:
            targets_M = batch.targets_N[taught_M]
            logprobs_M, _ = target_logprobs(hidden_MD, model.lm_head.weight, targets_M)
            gain_M = sign_M * (logprobs_M - batch.extra["reference"][taught_M])
            margins = _sums(gain_M, batch.extra["answer"][taught_M].long() // 2)
            loss["preference"] = self.preference * dpo(margins, self.dpo_beta).sum()
            watch["preferred"] = (margins > 0).float().sum()
            per |= {"preference": PAIRS, "preferred": PAIRS}
        for name, weight, of in ((POSITIVE, self.positive, sign_M > 0), (NEGATIVE, self.negative, sign_M < 0)):
            if weight:
                teacher = named(batch, taught_M[of])
                apart = divergence(hidden_MD[of], model.lm_head.weight, teacher, self.beta, self.temperature)
                loss[name] = weight * apart.sum()
                per[name] = name
        return Sums(loss, watch, per)


def dpo(margins_P: Tensor, beta: float) -> Tensor:
    """The loss [P] of pairs by how much more the policy than the reference prefers the better answer, in nats."""
    return -logsigmoid(beta * margins_P)


def named(batch: Batch, places: Tensor) -> Named:
    """What the teacher says at places of the batch."""
    return Named(
        batch.extra["teacher_ids"][places], batch.extra["teacher_logprobs"][places], batch.extra["teacher_tail"][places]
    )


def _sums(values_M: Tensor, pair_M: Tensor) -> Tensor:
    """Sums [P] by pair, of the pairs that the batch holds."""
    _, index_M = pair_M.unique(return_inverse=True)
    pairs = int(index_M.max()) + 1 if len(index_M) else 0
    return torch.zeros(pairs, dtype=values_M.dtype).index_add(0, index_M, values_M)
