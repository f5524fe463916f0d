"""Rollouts: groups of answers by the current policy, judged, and what training makes of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from underdog.generate.engine import Completion
from underdog.generate.interface import Ending, Sampling
from underdog.recipe.reinforcement import Reinforce
from underdog.seeds import derive
from underdog.tokens.chat import prompt_ids
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Answer, Group
from underdog.train.pool import Pool
from underdog.train.rewards import advantages, shaped
from underdog.verify.problem import Problem, Verdict
from underdog.verify.registry import Judging
from underdog.world import ALONE, Place


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


def groups(rollouts: Sequence[Rollout], settings: Reinforce, step: int) -> list[Group]:
    """Rollouts as training reads them: `advantage` and `sampled` log-probability for every token of every answer.

    `step` counts from the beginning of the stage, as `Shaping.length` does.
    """
    shaping, limit = settings.shaping, settings.max_new_tokens
    rewards = [shaped(one.rewards, one.completions, shaping, limit, step) for one in rollouts]
    found = []
    for rollout, worth in zip(rollouts, advantages(rewards, settings.loss.advantage), strict=True):
        answers = [
            Answer(one.ids, {"advantage": [advantage] * len(one.ids), "sampled": one.logprobs})
            for one, advantage in zip(rollout.completions, worth, strict=True)
            if not (shaping.mask_truncated and one.ending is Ending.TRUNCATED)
        ]
        if answers:
            found.append(Group(rollout.prompt, answers))
    return found


def share_out(groups: Sequence[Group], average: str, limit: int) -> list[Group]:
    """Adds how much each token counts, `share`, so that a mean over the tokens of all groups becomes that of
    `PolicyLoss.average`; `limit` is what "constant" divides by."""
    if average == "token":
        return list(groups)
    lengths = [len(answer.ids) for group in groups for answer in group.answers]
    mean = sum(lengths) / len(lengths)

    def counted(answer: Answer) -> Answer:
        share = mean / (len(answer.ids) if average == "sequence" else limit)
        return Answer(answer.ids, {**answer.extra, "share": [share] * len(answer.ids)})

    return [Group(group.prompt, [counted(answer) for answer in group.answers]) for group in groups]


class Answering(Protocol):
    """What samples answers: the built-in engine, or vLLM (generate/vllm.py)."""

    context: int

    def answers(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, n: int, place: Place
    ) -> Iterator[tuple[int, Completion]]:
        """(index of the prompt, completion) as they are finished, `n` to each prompt of this process's share."""
        ...


@dataclass(frozen=True)
class Sampler:
    """Answers problems with the current policy."""

    engine: Answering
    tokenizer: Tokenizer
    seed: int
    place: Place = ALONE

    def collect(
        self, pool: Pool, settings: Reinforce, step: int, rounds: int = 3
    ) -> tuple[list[Rollout], list[Rollout]]:
        """The rollouts of a step: those kept for training, and all that were sampled.

        With dynamic sampling (DAPO), problems are drawn until enough informative rollouts are there or `rounds`
        are over: each round as many as the share of informative ones calls for, the last step's to begin with.
        """
        kept: list[Rollout] = []
        seen: list[Rollout] = []
        share = pool.informative if settings.dynamic_sampling else 1.0
        for attempt in range(rounds):
            problems = pool.take(math.ceil((settings.prompts - len(kept)) / share), settings.mix)
            sampling = self._sampling(settings, settings.temperature, "step", step, attempt)
            fresh = self._roll_out(problems, sampling, settings.rollouts)
            seen += fresh
            if not settings.dynamic_sampling:
                return fresh, fresh
            kept += [rollout for rollout in fresh if rollout.informative]
            share = pool.informative = max(len(kept) / len(seen), 0.25)
            if len(kept) >= settings.prompts:
                break
        return kept[: settings.prompts], seen

    def pass_rates(self, problems: Sequence[Problem], settings: Reinforce, stage: str) -> list[float]:
        """Mean reward of each problem at the stage's temperature, over `profile.samples` answers."""
        sampling = self._sampling(settings, settings.temperature, "profile", stage)
        rollouts = self._roll_out(problems, sampling, settings.profile.samples)
        return [sum(rollout.rewards) / len(rollout.rewards) for rollout in rollouts]

    def probe(self, problems: Sequence[Problem], settings: Reinforce) -> list[Rollout]:
        """Two answers to each problem at the stage's temperature, to look at."""
        return self._roll_out(problems, self._sampling(settings, settings.temperature, "probe"), 2)

    def score(self, problems: Sequence[Problem], settings: Reinforce, samples: int = 2) -> float:
        """Mean reward at temperature 1, from the same draws at every look."""
        sampling = self._sampling(settings, 1.0, "score")
        rollouts = self._roll_out(problems, sampling, samples)
        return sum(sum(rollout.rewards) for rollout in rollouts) / (len(rollouts) * samples)

    def _roll_out(self, problems: Sequence[Problem], sampling: Sampling, n: int) -> list[Rollout]:
        return roll_out(self.engine, self.tokenizer, problems, sampling, n, self.place)

    def _sampling(self, settings: Reinforce, temperature: float, *purpose: str | int) -> Sampling:
        return Sampling(temperature, max_new_tokens=settings.max_new_tokens, seed=derive(self.seed, *purpose))


def roll_out(
    engine: Answering,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    sampling: Sampling,
    n: int,
    place: Place = ALONE,
) -> list[Rollout]:
    """Samples `n` answers to each problem and judges them, each as soon as it is finished.

    Of several processes each answers its share, and all of them return all rollouts.
    """
    prompts = [prompt_ids(problem.prompt, tokenizer) for problem in problems]
    with Judging() as judging:
        begun = [
            (index, one, begin_judging(judging, problems[index], one, tokenizer))
            for index, one in engine.answers(prompts, sampling, n, place)
        ]
        own = [(index, one, verdict()) for index, one, verdict in begun]
    found = [Rollout(problem, prompt, [], []) for problem, prompt in zip(problems, prompts, strict=True)]
    for index, one, verdict in chain.from_iterable(place.gathered(own)):
        found[index].completions.append(one)
        found[index].verdicts.append(verdict)
    return found


def begin_judging(
    judging: Judging, problem: Problem, completion: Completion, tokenizer: Tokenizer
) -> Callable[[], Verdict]:
    """An answer that ran into its limit earns nothing: the model never said that it was done."""
    if completion.ending is Ending.TRUNCATED:
        return lambda: Verdict.unparsable("ran into the limit of new tokens")
    return judging.begin(problem, tokenizer.decode(completion.ids))
