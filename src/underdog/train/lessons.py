"""Where a student's answers, and a teacher's, come from: on the way (on-policy), or all before the first step.

A lesson is a group of answers to one prompt. Positives and negatives of DPD carry their sign.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from underdog.artifacts.files import read_json, write_json
from underdog.errors import UserError
from underdog.generate.engine import Engine
from underdog.generate.interface import Sampling
from underdog.recipe.teaching import Distill
from underdog.seeds import derive
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Answer, Group
from underdog.train.pool import Pool
from underdog.train.rollouts import Rollout, roll_out
from underdog.verify.problem import Problem

Lesson = tuple[int, Group]  # its number, where lessons are prepared: what a cache knows it by


@dataclass(frozen=True)
class OnPolicy:
    """The student's own answers, sampled anew each step."""

    engine: Engine
    tokenizer: Tokenizer
    pool: Pool
    settings: Distill
    seed: int

    def at(self, step: int) -> list[Lesson]:
        problems = self.pool.take(self.settings.prompts)
        sampling = sampling_of(self.settings, derive(self.seed, "step", step))
        rollouts = roll_out(self.engine, self.tokenizer, problems, sampling, 1)
        return [
            (number, Group(one.prompt, [Answer(answer.ids, {}) for answer in one.completions]))
            for number, one in enumerate(rollouts)
        ]


def sampling_of(settings: Distill, seed: int) -> Sampling:
    return Sampling(settings.temperature, max_new_tokens=settings.max_new_tokens, seed=seed)


def kept(path: Path, make: Callable[[], list[Group]]) -> list[Group]:
    """Groups from a file, or made and written to it: a resumed stage samples nothing twice."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        groups = make()
        record = [
            {"prompt": one.prompt, "answers": [{"ids": a.ids, "extra": dict(a.extra)} for a in one.answers]}
            for one in groups
        ]
        write_json(path, record)
        return groups
    return [
        Group(one["prompt"], [Answer(answer["ids"], answer["extra"]) for answer in one["answers"]])
        for one in read_json(path)
    ]


def right_answers(answered: Sequence[Rollout]) -> list[Group]:
    """The teacher's answers that the verifier accepts."""
    groups = []
    for one in answered:
        right = [
            Answer(answer.ids, {}) for answer, reward in zip(one.completions, one.rewards, strict=True) if reward == 1
        ]
        if right:
            groups.append(Group(one.prompt, right))
    if not groups:
        raise UserError(
            f"Of the teacher's answers to {len(answered)} problems none is right.", hint="Take a teacher that can."
        )
    return groups


def pairs(teacher: Sequence[Rollout], student: Sequence[Rollout], margin: float) -> list[Group]:
    """For each problem the teacher's best answer and the student's worst, where the first is clearly better."""
    groups: list[Group] = []
    for positive, negative in zip(teacher, student, strict=True):
        better, worse = max(positive.rewards), min(negative.rewards)
        if better - worse >= margin:
            best = positive.completions[positive.rewards.index(better)]
            worst = negative.completions[negative.rewards.index(worse)]
            groups.append(Group(positive.prompt, [_signed(best.ids, 1.0), _signed(worst.ids, -1.0)]))
    if not groups:
        raise UserError(
            f"On {len(teacher)} problems the teacher is nowhere better than the student by {margin:g}: no pairs.",
            hint="Take a better teacher, more distill.samples, or a smaller distill.margin.",
        )
    return groups


def answers(
    engine: Engine, tokenizer: Tokenizer, problems: Sequence[Problem], settings: Distill, seed: int
) -> list[Rollout]:
    return roll_out(engine, tokenizer, problems, sampling_of(settings, seed), settings.samples)


def _signed(ids: Sequence[int], sign: float) -> Answer:
    return Answer(ids, {"sign": [sign] * len(ids)})
