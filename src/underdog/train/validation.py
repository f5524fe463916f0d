"""How good a pretrained model is on text that no phase read: its loss, and how often it knows what comes next."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from underdog.lanes import cut, side_by_side
from underdog.model.decoder import Decoder
from underdog.recipe.schema import TIERS
from underdog.tokens.shards import Shard
from underdog.tokens.streams import Stream
from underdog.train.batch import Answer, Batch, Group, collate_groups
from underdog.train.data import packed_rows
from underdog.train.objectives import policy_logprobs
from underdog.train.strategy import PART_TOKENS

GOOD = "held-out"  # the good tiers together
MOST = 32_768  # tokens that the loss on the good text is taken over
MOST_OF_TIER = 8_192  # and that on a single tier
PIECE = 32  # tokens of a beginning, and of what may follow it
MOST_TEXTS = 2_048  # that are asked how they go on


class HeldOut:
    """The held-out text of a tokenised corpus."""

    def __init__(self, folder: Path, tokens: Mapping[str, int], tokenizer: str):
        """`tokens` names the shards that there are."""
        self.good = Shard(folder, GOOD, tokenizer)
        self.tiers = {
            tier: Shard(folder, f"{GOOD}-{tier}", tokenizer) for tier in TIERS if tokens.get(f"{GOOD}-{tier}", 0) > 1
        }

    def losses(self, model: Decoder, context: int) -> tuple[float, dict[str, float]]:
        """The loss on the good text, and that on each tier's."""
        by_tier = {tier: held_out_loss(model, shard, context, MOST_OF_TIER) for tier, shard in self.tiers.items()}
        return held_out_loss(model, self.good, context), by_tier


def held_out_loss(model: Decoder, shard: Shard, context: int, most: int = MOST) -> float:
    """Mean cross-entropy (nats a token) over the first `most` tokens of a shard."""
    rows = [(shard.name, i * context) for i in range(max(1, min(most, len(shard) - 1) // context))]
    parts = packed_rows(rows, {shard.name: Stream(shard, seed=0)}, context, PART_TOKENS)

    @torch.no_grad()
    def loss(part: Batch) -> float:
        return float(policy_logprobs(model, part, 1.0)[0].sum())  # weights are 0 or 1; no gradient, as NextToken has

    return -sum(side_by_side(loss, parts)) / sum(float(part.weights_N.sum()) for part in parts)


def continuations(model: Decoder, shard: Shard, choices: int = 4, most: int = MOST_TEXTS) -> tuple[float, int]:
    """How often the true continuation of a held-out text is likelier than those of others, and over how many texts.

    A beginning of 32 tokens, and 32 tokens that may follow it: its own, and those of three other documents (the form
    of HellaSwag, arXiv 1905.07830, on text of one's own). Guessing is right once in `choices`.
    """
    pieces, others = _pieces(shard, choices, most)
    if not len(pieces):
        return 0.0, 0
    groups = [
        Group(begin, [Answer(end, {}) for end in ends])
        for begin, ends in zip(pieces[:, :PIECE].tolist(), pieces[others.T, PIECE:].tolist(), strict=True)
    ]

    @torch.no_grad()
    def likelihoods(part: Sequence[Group]) -> torch.Tensor:
        """The log-probability of each end after its beginning [texts, choices]."""
        logprobs_M, _, _ = policy_logprobs(model, collate_groups(part), 1.0)
        return logprobs_M.reshape(-1, choices, PIECE).sum(-1)

    scores = torch.cat(list(side_by_side(likelihoods, cut(groups, lambda group: group.tokens, PART_TOKENS))))
    return float((scores.argmax(dim=1) == 0).float().mean()), len(pieces)


def _pieces(shard: Shard, choices: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of documents [texts, 2 * PIECE], and for each the pieces whose second half may follow its first: itself,
    then others [choices, texts].

    The first piece of every document, then the second of those that have one, and so on: the others are of the same
    round, so that they are never of the same document.
    """
    pieces: list[np.ndarray] = []
    others: list[np.ndarray] = []
    start = 0
    while len(pieces) < most:
        long = [one for one in range(shard.documents) if shard.lengths[one] >= start + 2 * PIECE]
        long = long[: most - len(pieces)]
        if len(long) < choices:
            break
        others.append(len(pieces) + np.array([np.roll(np.arange(len(long)), shift) for shift in range(choices)]))
        pieces += [shard.read(one, start, 2 * PIECE) for one in long]
        start += 2 * PIECE
    if not pieces:
        return np.empty((0, 2 * PIECE), np.int64), np.empty((choices, 0), np.int64)
    return np.array(pieces, np.int64), np.concatenate(others, axis=1)
