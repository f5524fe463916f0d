"""The policy-gradient family as one objective: GRPO, DAPO, Dr. GRPO, GSPO, CISPO, REINFORCE++ are its switches.

r = policy / policy that the answers are from, A = advantage, q = reference / policy.

| | loss of a token |
|---|---|
| clip (PPO, GRPO) | -min(r A, clip(r, 1 - low, 1 + high) A) |
| cispo (MiniMax-M1, arXiv 2506.13585) | -stopgrad(min(r, 1 + high)) A log policy |
| k1 | stopgrad(-log q) r: its expected gradient is the KL's, where that of -log q itself is 0 |
| k2 | log(q)^2 / 2 |
| k3 (GRPO, arXiv 2402.03300) | q - log q - 1 |

Shapes: N tokens of a batch, M of them the answers', S answers.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from underdog.model.decoder import Decoder
from underdog.recipe.reinforcement import PolicyLoss
from underdog.train.batch import Batch
from underdog.train.objectives import Sums, policy_logprobs

LARGEST_LOG_RATIO = 10.0  # to the reference: beyond it a penalty only overflows (ProRL v2)


@dataclass(frozen=True)
class PolicyGradient:
    """Sum over the answers' tokens, each times its `share`, of the policy's loss and the KL penalty.

    The batch carries, by token: `advantage`; `sampled`, the sampler's log-probability; `answer`, the number of the
    token's answer within the batch; `share`, how much the token counts, where they do not all count alike; where
    `kl` > 0, `reference`, the reference policy's log-probability; where the sampler's are to be corrected, `old`, the
    policy's own before the step's first update.
    """

    low: float
    high: float
    kl: float = 0.0
    temperature: float = 1.0
    kind: PolicyLoss = field(default_factory=PolicyLoss)
    entropy_bonus: float = 0.0

    def __call__(self, model: Decoder, batch: Batch) -> Sums:
        batch = batch.to(model.lm_head.weight.device)
        logprobs_M, entropy_M, taught_M = policy_logprobs(model, batch, self.temperature)
        extra = {name: values[taught_M] for name, values in batch.extra.items()}
        old_M = extra.get("old", extra["sampled"])
        share_M = extra.get("share", torch.ones_like(logprobs_M))
        log_ratio_M = logprobs_M - old_M
        if self.kind.ratio == "sequence":
            log_ratio_M = mean_by_answer(log_ratio_M, extra["answer"].long())
        ratio_M = log_ratio_M.exp()
        gain_M, clipped_M = self._gain(ratio_M, extra["advantage"], logprobs_M)
        if self.kind.sampler_correction:
            gain_M = gain_M * (old_M - extra["sampled"]).exp().clamp(*self.kind.sampler_correction)

        loss = {"policy": -(share_M * gain_M).sum()}
        watch = {
            "entropy": entropy_M.detach().sum(),
            "clipped": clipped_M.float().sum(),
            "off_sampler": (logprobs_M.detach() - extra["sampled"]).abs().sum(),
        }
        if self.kl:
            log_q_M = (extra["reference"] - logprobs_M).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
            loss["kl"] = self.kl * (share_M * divergence(log_q_M, ratio_M, self.kind.kl_estimator)).sum()
            watch["kl_to_reference"] = divergence(log_q_M, ratio_M, "k3").detach().sum()
        if self.entropy_bonus:
            loss["entropy_bonus"] = -self.entropy_bonus * entropy_M.sum()
        return Sums(loss, watch)

    def _gain(self, ratio_M: Tensor, advantage_M: Tensor, logprobs_M: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be made large, and where the ratio was clipped."""
        if self.kind.surrogate == "cispo":
            capped_M = ratio_M.clamp(max=1 + self.high).detach()
            return capped_M * advantage_M * logprobs_M, ratio_M > 1 + self.high
        clipped_M = ratio_M.clamp(1 - self.low, 1 + self.high)
        return torch.minimum(ratio_M * advantage_M, clipped_M * advantage_M), ratio_M != clipped_M


def divergence(log_q_M: Tensor, ratio_M: Tensor, estimator: str) -> Tensor:
    """Estimates of KL(policy || reference) by token, in nats (Schulman, "Approximating KL divergence", 2020)."""
    match estimator:
        case "k1":
            return -log_q_M.detach() * ratio_M
        case "k2":
            return log_q_M.square() / 2
        case _:
            return log_q_M.exp() - log_q_M - 1


def mean_by_answer(values_M: Tensor, answer_M: Tensor) -> Tensor:
    """Each token's value replaced by the mean over its answer [M]."""
    answers = int(answer_M.max()) + 1 if len(answer_M) else 0
    sums_S = values_M.new_zeros(answers).index_add(0, answer_M, values_M)
    counts_S = answer_M.bincount(minlength=answers).clamp(min=1)
    return (sums_S / counts_S)[answer_M]
