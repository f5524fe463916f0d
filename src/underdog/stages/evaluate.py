"""Evaluate: pass@1 on held-out problems, sampled and greedy, with intervals."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from underdog.artifacts.samples import SAMPLES
from underdog.artifacts.store import Artifact, Draft
from underdog.generate.engine import Engine
from underdog.generate.interface import Ending, Sampling
from underdog.model.weights import load_pretrained
from underdog.recipe.schema import Evaluate
from underdog.seeds import derive
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.rollouts import Rollout, roll_out
from underdog.verify.oracle import chance
from underdog.verify.problem_files import read_problems

RARE = 10  # problems solved, or not solved
NORMAL = 1.96  # the two-sided 95 % quantile


def evaluate(settings: Evaluate, seed: int, checkpoint: Artifact, problems: Artifact, out: Draft) -> None:
    """Answers every test problem `samples` times at temperature 1 and once greedily; writes samples.jsonl."""
    tokenizer = Tokenizer.load(checkpoint.path)
    engine = Engine(load_pretrained(checkpoint.path), tokenizer.turn_end)
    test = read_problems(problems.path / "test.jsonl")
    total = len(test) * (settings.samples + 1)

    out.progress(0, total, "sampling")
    warm = Sampling(1.0, max_new_tokens=settings.max_new_tokens, seed=derive(seed, "samples"))
    sampled = roll_out(engine, tokenizer, test, warm, settings.samples)
    out.progress(len(test) * settings.samples, total, "greedy")
    cold = Sampling(0.0, max_new_tokens=settings.max_new_tokens)
    greedy = roll_out(engine, tokenizer, test, cold, 1)

    with (out.path / SAMPLES).open("w", encoding="utf-8") as file:
        for hot, best in zip(sampled, greedy, strict=True):
            file.write(json.dumps(_record(hot, best, tokenizer), ensure_ascii=False) + "\n")
    completions = [one for rollout in sampled for one in rollout.completions]
    out.metrics = {
        "problems": len(test),
        "samples": settings.samples,
        "sampled": interval(accuracies(sampled), derive(seed, "bootstrap")),
        "greedy": interval(accuracies(greedy), derive(seed, "bootstrap")),
        "any_of_samples": float(np.mean([max(rollout.rewards) for rollout in sampled])),
        "chance": chance(test, seed=derive(seed, "chance")),
        "by_task": {
            task: {"sampled": float(np.mean(accuracies(mine))), "greedy": float(np.mean(accuracies(best)))}
            for task, mine, best in _by_task(sampled, greedy)
        },
        "length": float(np.mean([len(one.ids) for one in completions])),
        "truncated": float(np.mean([one.ending is Ending.TRUNCATED for one in completions])),
    }
    out.progress(total, total)


def accuracies(rollouts: Sequence[Rollout]) -> np.ndarray:
    """Mean reward of each problem's answers [problems]."""
    return np.array([np.mean(rollout.rewards) for rollout in rollouts])


def interval(values: np.ndarray, seed: int, draws: int = 2000) -> dict[str, float]:
    """Mean and 95 % bootstrap interval over problems.

    Where fewer than `RARE` problems are solved, or not solved, a bootstrap sees too little of what is rare, and of none
    it sees nothing: there it is Wilson's interval for shares.
    """
    mean = float(values.mean())
    if min(values.sum(), len(values) - values.sum()) < RARE:
        low, high = wilson(mean, len(values))
        return {"mean": mean, "low": low, "high": high}
    random = np.random.Generator(np.random.Philox(seed))
    means = values[random.integers(0, len(values), (draws, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": mean, "low": float(low), "high": float(high)}


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of `count` trials (Wilson 1927)."""
    spread = NORMAL**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def _by_task(sampled: Sequence[Rollout], greedy: Sequence[Rollout]):
    groups: dict[str, tuple[list[Rollout], list[Rollout]]] = defaultdict(lambda: ([], []))
    for hot, best in zip(sampled, greedy, strict=True):
        groups[hot.problem.task][0].append(hot)
        groups[hot.problem.task][1].append(best)
    return [(task, hot, best) for task, (hot, best) in sorted(groups.items())]


def _record(sampled: Rollout, greedy: Rollout, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "problem": sampled.problem.id,
        "task": sampled.problem.task,
        "prompt": sampled.problem.prompt[-1].content,
        "greedy": tokenizer.decode(greedy.completions[0].ids),
        "verdict": greedy.verdicts[0].detail,
        "greedy_reward": greedy.verdicts[0].reward,
        "sampled": tokenizer.decode(sampled.completions[0].ids),
        "sampled_rewards": sampled.rewards,
    }
