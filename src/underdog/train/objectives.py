"""Objectives: pure functions from a batch and a model's log-probabilities to named components.

A component is a sum over tokens (or pairs) and the count it is divided by; the loop adds the components up with
their weights, over all parts of a step, so that a step gives the same gradient however it is cut into parts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from underdog.model.decoder import Decoder
from underdog.train.batch import Batch
from underdog.train.logprobs import cross_entropy, target_logprobs


@dataclass(frozen=True)
class Sums:
    """Sums over the tokens of a batch that carry weight."""

    loss: Mapping[str, Tensor]  # by component; each is divided by the step's token count, unless `per` says by what
    watch: Mapping[str, Tensor]  # figures to log, normalised alike, without gradient
    per: Mapping[str, str] = field(default_factory=dict)  # component or figure -> a name among the batch's counts


Objective = Callable[[Decoder, Batch], Sums]


def taught_hidden(model: Decoder, batch: Batch) -> tuple[Tensor, Tensor]:
    """Hidden states [M, D] of the M tokens that carry weight, and their places [M] in the batch.

    Tokens without loss, prompts above all, never reach the output head.
    """
    taught_M = batch.weights_N.nonzero().squeeze(1)
    return model(batch.ids_N, batch.attention())[taught_M], taught_M


def policy_logprobs(model: Decoder, batch: Batch, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities [M] and entropies [M] of the tokens that carry weight, and their places [M] in the batch."""
    batch = batch.to(model.lm_head.weight.device)
    hidden_MD, taught_M = taught_hidden(model, batch)
    logprobs_M, entropy_M = target_logprobs(hidden_MD, model.lm_head.weight, batch.targets_N[taught_M], temperature)
    return logprobs_M, entropy_M, taught_M


@dataclass(frozen=True)
class NextToken:
    """Cross-entropy of the next token, with a z-loss of weight `z_loss`: pretraining, and SFT through its mask."""

    z_loss: float = 0.0

    def __call__(self, model: Decoder, batch: Batch) -> Sums:
        batch = batch.to(model.lm_head.weight.device)
        hidden_MD, taught_M = taught_hidden(model, batch)
        targets_M, weights_M = batch.targets_N[taught_M], batch.weights_N[taught_M]
        loss, z_loss = cross_entropy(hidden_MD, model.lm_head.weight, targets_M, weights_M, self.z_loss)
        return Sums({"cross_entropy": loss, **({"z_loss": z_loss} if self.z_loss else {})}, {})


next_token = NextToken()
