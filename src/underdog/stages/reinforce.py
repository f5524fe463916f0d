"""Reinforce: prolonged reinforcement learning with verified rewards (ProRL, arXiv 2505.24864; DAPO, 2503.14476)."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.generate.engine import Engine
from underdog.lanes import cut, side_by_side
from underdog.model.decoder import Decoder
from underdog.model.weights import load_pretrained
from underdog.recipe.reinforcement import EntropyBonus, Reinforce
from underdog.recipe.stages import Stage, stage_at, stages
from underdog.seeds import derive
from underdog.tokens.chat import prompt_ids
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Batch, Group, collate_groups
from underdog.train.objectives import policy_logprobs
from underdog.train.policy import PolicyGradient
from underdog.train.pool import Pool
from underdog.train.resets import Resets
from underdog.train.resume import Resumable
from underdog.train.rollouts import Answering, Sampler, describe, groups, share_out
from underdog.train.strategy import PART_TOKENS, Strategy
from underdog.train.trainer import Trainer
from underdog.verify.problem import Problem
from underdog.verify.problem_files import read_problems
from underdog.world import Place

T = TypeVar("T")
OFF_SAMPLER = 0.1
"""Nats a token between sampler and trainer, before any update, above which they cannot be the same model."""


def reinforce(
    settings: Reinforce,
    seed: int,
    start: Artifact,
    problems: Artifact,
    out: Draft,
    strategy: Strategy | None = None,
) -> None:
    """Improves `start` on the training problems by the rewards of its own answers; writes a checkpoint."""
    tokenizer = Tokenizer.load(start.path)
    policy = load_pretrained(start.path)
    taught, validation = (read_problems(problems.path / f"{split}.jsonl") for split in ("train", "validation"))
    plan = stages(settings)
    _check_room(plan, [*taught, *validation], tokenizer, policy.config.context)
    reference = copy.deepcopy(policy)
    best = copy.deepcopy(policy) if settings.reset.rollback else None
    trainer = Trainer(policy, settings.optimizer, PolicyGradient(*settings.clip), strategy)
    run = Resumable(out, trainer, settings.steps, {"reference": reference, **({"best": best} if best else {})})
    pool = Pool(taught, derive(seed, "pool"), run.memory)
    for stage in plan:
        pool.check(stage.settings.mix, f'The mix of stage "{stage.name}"')
    copies = trainer.strategy.copies
    with _engine(settings.engine, policy, tokenizer, copies) as engine:
        sampler = Sampler(engine, tokenizer, seed, copies)
        loop = Loop(settings, trainer, sampler, reference, best, run.memory, out)
        for step in run.steps():
            stage = stage_at(plan, step)
            if settings.profile.samples and not pool.sorted_for(stage.name):
                rates = sampler.pass_rates(taught, stage.settings, stage.name)
                out.log(step=step, pool=pool.sort(stage.name, rates, settings.profile))
            if step % settings.validate_every == 0:
                loop.look(step, sampler.score(validation, stage.settings))
            loop.learn(step, stage, pool)
        out.log(step=settings.steps, validation=sampler.score(validation, plan[-1].settings))
    trainer.save(tokenizer, out.path)
    out.metrics = {"steps": settings.steps, "problems_drawn": run.memory.get("position", 0)}


@dataclass
class Loop:
    """What happens at a step."""

    settings: Reinforce
    trainer: Trainer
    sampler: Sampler
    reference: Decoder
    best: Decoder | None
    memory: dict[str, Any]
    out: Draft

    def __post_init__(self):
        self.resets = Resets(self.settings.reset, self.memory)

    def look(self, step: int, score: float) -> None:
        """Acts on a fresh validation score: keeps the best policy, brings it back after a collapse, resets."""
        self.out.log(step=step, validation=score)
        if self.resets.is_best(score):
            if self.best:
                self.best.load_state_dict(self.trainer.model.state_dict())
        elif self.best and self.resets.collapsed(score):
            self.trainer.model.load_state_dict(self.best.state_dict())
            self.trainer.clear_optimizer()
            why = f"validation collapsed to {score:.3f}: back to the best policy"
            self._reset(step, self.resets.note(step, score, why))
        if why := self.resets.due(step, score):
            self._reset(step, why)

    def learn(self, step: int, stage: Stage, pool: Pool) -> None:
        """Rollouts, rewards, and the updates that they give."""
        now, within = stage.settings, step - stage.steps.start
        kept, seen = self.sampler.collect(pool, now, step)
        self.trainer.objective = objective(now, self.memory)
        work = [
            list(batches(share_out(part, now.loss.average, now.max_new_tokens), self.trainer, self.reference, now))
            for part in minibatches(groups(kept, now, within), now.minibatches)
        ]
        updates = [self.trainer.update(parts, now.lr) for parts in work]
        figures = {**updates[-1], "off_sampler": updates[0]["off_sampler"]} if updates else {}
        _check_sampler(figures.get("off_sampler", 0.0), now)
        adapt(self.settings.entropy, figures, self.memory)
        summary = describe(seen, kept)
        self.out.log(step=step, stage=stage.name, **summary, **figures)
        self.out.progress(step + 1, self.settings.steps, f"reward {summary['reward']:.3f}")
        if why := self.resets.spiked(step + 1, figures.get("kl_to_reference", 0.0)):
            self._reset(step + 1, why)

    def _reset(self, step: int, why: str) -> None:
        self.reference.load_state_dict(self.trainer.model.state_dict())
        if self.settings.reset.optimizer == "clear":
            self.trainer.clear_optimizer()
        self.out.log(step=step, reset=why)


def objective(settings: Reinforce, memory: dict[str, Any]) -> PolicyGradient:
    bonus = memory.get("entropy_bonus", 0.0) if settings.entropy.target else 0.0
    return PolicyGradient(*settings.clip, settings.kl, settings.temperature, settings.loss, bonus)


def adapt(entropy: EntropyBonus, figures: dict[str, float], memory: dict[str, Any]) -> None:
    """Moves the weight of the entropy bonus toward what keeps the entropy at its target."""
    if entropy.target and "entropy" in figures:
        move = entropy.step if figures["entropy"] < entropy.target else -entropy.step
        memory["entropy_bonus"] = min(entropy.most, max(0.0, memory.get("entropy_bonus", 0.0) + move))


def minibatches(kept: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    """Splits a step's groups into at most `count` parts of nearly equal size."""
    for index in range(count):
        if part := kept[index * len(kept) // count : (index + 1) * len(kept) // count]:
            yield part


def batches(groups: Sequence[Group], trainer: Trainer, reference: Decoder, settings: Reinforce) -> Iterator[Batch]:
    """The groups as batches, with the log-probabilities of other policies where the loss wants them and this process
    computes the batch."""
    others = {"reference": reference} if settings.kl else {}
    if settings.loss.sampler_correction:
        others["old"] = trainer.model

    def prepared(numbered: tuple[int, Sequence[Group]]) -> Batch:
        number, part = numbered
        batch = collate_groups(part)
        for name, model in others.items() if trainer.strategy.computes(number) else ():
            with torch.no_grad():
                logprobs_M, _, taught_M = policy_logprobs(model, batch, settings.temperature)
            batch.extra[name] = torch.zeros(batch.tokens).index_copy_(0, taught_M, logprobs_M)
        return batch

    return side_by_side(prepared, enumerate(cut(groups, lambda group: group.tokens, PART_TOKENS)))


@contextmanager
def _engine(name: str, policy: Decoder, tokenizer: Tokenizer, place: Place) -> Iterator[Answering]:
    if name == "built-in":
        yield Engine(policy, tokenizer.turn_end)
        return
    from underdog.generate.vllm import open_vllm

    with open_vllm(name, policy, tokenizer, place) as vllm:
        yield vllm


def _check_sampler(difference: float, settings: Reinforce) -> None:
    """Refuses to learn from answers of what is plainly another model. `difference`: see OFF_SAMPLER."""
    if difference > OFF_SAMPLER:
        raise UserError(
            f"The sampler's log-probabilities are {difference:.2f} nats a token from the trainer's: "
            "its weights, its tokenizer or its temperature are others.",
            hint=f'reinforce.engine is "{settings.engine}".',
        )


def _check_room(plan: Sequence[Stage], problems: Sequence[Problem], tokenizer: Tokenizer, context: int) -> None:
    """Refuses, before the first rollout, a stage whose answers would not fit behind every prompt."""
    longest = max((len(prompt_ids(problem.prompt, tokenizer)) for problem in problems), default=0)
    for stage in plan:
        if (needed := longest + stage.settings.max_new_tokens) > context:
            raise UserError(
                f'Stage "{stage.name}" needs {needed} tokens: the longest prompt has {longest}, and max_new_tokens is '
                f"{stage.settings.max_new_tokens}; the model's context holds {context}.",
                hint=f"Set reinforce.max_new_tokens to at most {context - longest}, or train a longer context.",
            )
