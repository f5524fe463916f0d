"""From verdicts to advantages: what is added to a reward, and how rewards are compared."""

import math
from collections.abc import Sequence

from underdog.generate.engine import Completion, Ending
from underdog.recipe.reinforcement import LengthReward, Shaping

Rewards = Sequence[float]


def shaped(rewards: Rewards, completions: Sequence[Completion], shaping: Shaping, limit: int, step: int) -> list[float]:
    """The rewards of a group with what `shaping` adds; `limit` are the tokens allowed, `step` counts from the stage's
    beginning."""
    return [
        reward + _addition(len(one.ids), one.ending is Ending.TRUNCATED, shaping, limit, step)
        for reward, one in zip(rewards, completions, strict=True)
    ]


def _addition(length: int, truncated: bool, shaping: Shaping, limit: int, step: int) -> float:
    total = 0.0
    if shaping.overlong:  # DAPO, arXiv 2503.14476, section 3.4
        total -= min(1.0, max(0.0, (length - (limit - shaping.overlong)) / shaping.overlong))
    if truncated:
        total -= shaping.stop
    if is_paid(shaping.length, step):
        reward = shaping.length
        total += reward.low + (reward.high - reward.low) * (1 + math.cos(math.pi * min(1.0, length / limit))) / 2
    return total


def is_paid(reward: LengthReward, step: int) -> bool:
    """Whether the length reward is on at this step of its stage."""
    return reward.used and step % (reward.on + reward.off) < reward.on


def advantages(groups: Sequence[Rewards], kind: str) -> list[list[float]]:
    """How much better each answer is than its group; a group of equal rewards gets zeros.

    `group`: (R - mean) / std over the group, std of the population (GRPO). `centred`: R - mean (Dr. GRPO, arXiv
    2503.20783). `batch`: R - mean, then (x - mean) / std over all groups (REINFORCE++-baseline, arXiv 2501.03262).
    """
    if not groups:  # a step where no group was informative
        return []
    centred = [_centred(rewards) for rewards in groups]
    if kind == "centred":
        return centred
    if kind == "group":
        return [_divided(group, _spread(group)) for group in centred]
    everything = [x for group in centred for x in group]
    middle, spread = math.fsum(everything) / len(everything), _spread(everything)
    return [_divided([x - middle for x in group], spread) for group in centred]


def _centred(rewards: Rewards) -> list[float]:
    if max(rewards) == min(rewards):  # their mean may be off by rounding, which a division would blow up
        return [0.0] * len(rewards)
    mean = math.fsum(rewards) / len(rewards)
    return [reward - mean for reward in rewards]


def _spread(values: Rewards) -> float:
    """Standard deviation of the population around its mean."""
    mean = math.fsum(values) / len(values)
    return math.hypot(*(value - mean for value in values)) / math.sqrt(len(values))


def _divided(values: list[float], spread: float) -> list[float]:
    return [value / spread for value in values] if spread else values
