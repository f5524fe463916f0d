"""Rollouts: groups of answers by the current policy, judged, with their advantages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from underdog.generate.engine import Completion, Engine
from underdog.generate.interface import Ending, Sampling
from underdog.recipe.schema import Reinforce
from underdog.seeds import derive
from underdog.tokens.chat import prompt_ids
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Answer, Group
from underdog.train.pool import Pool
from underdog.verify.problem import Problem, Verdict
from underdog.verify.registry import verify


@dataclass(frozen=True)
class Rollout:
    """The answers to one problem, as sampled and as judged."""

    problem: Problem
    prompt: list[int]
    completions: list[Completion]
    verdicts: list[Verdict]

    @property
    def rewards(self) -> list[float]:
        return [verdict.reward for verdict in self.verdicts]

    @property
    def informative(self) -> bool:
        """Whether the answers differ in reward: equal ones, right or wrong, teach a group-relative method nothing.
        The spread over the whole group decides, so that equal partial rewards are seen as equal."""
        return max(self.rewards) > min(self.rewards)

    def group(self) -> Group:
        """The rollout as training reads it: `advantage` and `sampled` log-probability for every token."""
        answers = [
            Answer(one.ids, {"advantage": [advantage] * len(one.ids), "sampled": one.logprobs})
            for one, advantage in zip(self.completions, advantages(self.rewards), strict=True)
        ]
        return Group(self.prompt, answers)


def advantages(rewards: Sequence[float]) -> list[float]:
    """(R - mean) / std over the group, std of the population (GRPO); zeros where all are equal."""
    if max(rewards) == min(rewards):  # their mean may be off by rounding, which the division would blow up
        return [0.0] * len(rewards)
    mean = math.fsum(rewards) / len(rewards)
    std = math.hypot(*(reward - mean for reward in rewards)) / math.sqrt(len(rewards))
    return [(reward - mean) / std for reward in rewards]


@dataclass(frozen=True)
class Sampler:
    """Answers problems with the current policy, as the recipe says."""

    engine: Engine
    tokenizer: Tokenizer
    settings: Reinforce
    seed: int

    def collect(self, pool: Pool, step: int, rounds: int = 3) -> tuple[list[Rollout], list[Rollout]]:
        """The rollouts of a step: those kept for training, and all that were sampled.

        With dynamic sampling (DAPO), problems are drawn until enough informative rollouts are there or `rounds`
        are over: each round as many as the share of informative ones calls for, the last step's to begin with.
        """
        kept: list[Rollout] = []
        seen: list[Rollout] = []
        share = pool.informative if self.settings.dynamic_sampling else 1.0
        for attempt in range(rounds):
            problems = pool.take(math.ceil((self.settings.prompts - len(kept)) / share))
            fresh = self._answer(problems, self.settings.temperature, self.settings.rollouts, "step", step, attempt)
            seen += fresh
            if not self.settings.dynamic_sampling:
                return fresh, fresh
            kept += [rollout for rollout in fresh if rollout.informative]
            share = pool.informative = max(len(kept) / len(seen), 0.25)
            if len(kept) >= self.settings.prompts:
                break
        return kept[: self.settings.prompts], seen

    def score(self, problems: Sequence[Problem], samples: int = 2) -> float:
        """Mean reward at temperature 1, from the same draws at every look."""
        rollouts = self._answer(problems, 1.0, samples, "score")
        return sum(sum(rollout.rewards) for rollout in rollouts) / (len(rollouts) * samples)

    def _answer(self, problems: Sequence[Problem], temperature: float, n: int, *purpose: str | int) -> list[Rollout]:
        sampling = Sampling(temperature, max_new_tokens=self.settings.max_new_tokens, seed=derive(self.seed, *purpose))
        return roll_out(self.engine, self.tokenizer, problems, sampling, n)


def roll_out(
    engine: Engine, tokenizer: Tokenizer, problems: Sequence[Problem], sampling: Sampling, n: int
) -> list[Rollout]:
    """Samples `n` answers to each problem and judges them. A truncated answer is judged as it stands."""
    prompts = [prompt_ids(problem.prompt, tokenizer) for problem in problems]
    answered = engine.generate(prompts, sampling, n)
    return [
        Rollout(problem, prompt, completions, [judge(problem, one, tokenizer) for one in completions])
        for problem, prompt, completions in zip(problems, prompts, answered, strict=True)
    ]


def judge(problem: Problem, completion: Completion, tokenizer: Tokenizer) -> Verdict:
    """An answer that ran into its limit earns nothing: the model never said that it was done."""
    if completion.ending is Ending.TRUNCATED:
        return Verdict(0.0, "ran into the limit of new tokens")
    return verify(problem, tokenizer.decode(completion.ids))


def describe(seen: Sequence[Rollout], kept: Sequence[Rollout]) -> dict[str, float]:
    """What a step's rollouts looked like, for the log."""
    completions = [one for rollout in seen for one in rollout.completions]
    rewards = [reward for rollout in seen for reward in rollout.rewards]
    return {
        "reward": sum(rewards) / len(rewards),
        "kept": len(kept) / len(seen),
        "length": sum(len(one.ids) for one in completions) / len(completions),
        "truncated": sum(one.ending is Ending.TRUNCATED for one in completions) / len(completions),
    }
