"""What a person watches of rollouts: a step's figures, and a few answers to read."""

from collections.abc import Sequence
from typing import Any

from underdog.generate.interface import Ending
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.rollouts import Rollout
from underdog.verify.problem import Outcome

PROBLEMS, ANSWERS = 2, 3  # that are shown, of a step and of a problem
HEAD, TAIL = 3000, 1000  # characters of a text that are kept: how it begins, and how it ends


def describe(seen: Sequence[Rollout], kept: Sequence[Rollout]) -> dict[str, float]:
    """What a step's rollouts looked like, for the log."""
    completions = [one for rollout in seen for one in rollout.completions]
    rewards = [reward for rollout in seen for reward in rollout.rewards]
    judged = [pair for rollout in seen for pair in zip(rollout.completions, rollout.rewards, strict=True)]
    lengths = {
        f"length_{name}": [len(one.ids) for one, reward in judged if (reward > 0.5) == wanted]
        for name, wanted in (("right", True), ("wrong", False))
    }
    domains = sorted({rollout.problem.domain for rollout in seen})
    by_domain = {
        f"reward_{domain}": [
            reward for rollout in seen if rollout.problem.domain == domain for reward in rollout.rewards
        ]
        for domain in (domains if len(domains) > 1 else ())
    }
    outcomes = [verdict.outcome for rollout in seen for verdict in rollout.verdicts]
    return {
        "reward": sum(rewards) / len(rewards),
        "solved_once": sum(max(rollout.rewards) > 0.5 for rollout in seen) / len(seen),  # pass@k of k rollouts
        "kept": len(kept) / len(seen),
        "length": sum(len(one.ids) for one in completions) / len(completions),
        "truncated": sum(one.ending is Ending.TRUNCATED for one in completions) / len(completions),
        **{name: sum(values) / len(values) for name, values in {**lengths, **by_domain}.items() if values},
        "verifier_timed_out": outcomes.count(Outcome.TIMED_OUT),
        "verifier_crashed": outcomes.count(Outcome.CRASHED),
    }


def examples(seen: Sequence[Rollout], tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """A few rollouts to read, with their verdicts: of the first groups, those first whose answers differ in reward, the
    best answer, the worst, and others as they were sampled."""
    first = sorted(seen, key=lambda rollout: not rollout.informative)[:PROBLEMS]
    return [
        {
            "problem": rollout.problem.id,
            "task": rollout.problem.task or rollout.problem.domain,
            "prompt": clipped(rollout.problem.prompt[-1].content),
            "rewards": rollout.rewards,
            "answers": [_answer(rollout, index, tokenizer) for index in _telling(rollout.rewards)[:ANSWERS]],
        }
        for rollout in first
    ]


def _telling(rewards: Sequence[float]) -> list[int]:
    """The places of the best reward, the worst, and the others in order."""
    best, worst = rewards.index(max(rewards)), rewards.index(min(rewards))
    return list(dict.fromkeys([best, worst, *range(len(rewards))]))


def _answer(rollout: Rollout, index: int, tokenizer: Tokenizer) -> dict[str, Any]:
    completion, verdict = rollout.completions[index], rollout.verdicts[index]
    return {
        "text": clipped(tokenizer.decode(completion.ids)),
        "tokens": len(completion.ids),
        "reward": verdict.reward,
        "outcome": verdict.outcome.value,
        "verdict": verdict.detail,
    }


def clipped(text: str) -> str:
    """A text without its middle where it is long: the answer stands at the end."""
    left_out = len(text) - HEAD - TAIL
    return text if left_out <= 0 else f"{text[:HEAD]} … ({left_out:,} characters) … {text[-TAIL:]}"
