"""Reinforce: prolonged reinforcement learning with verified rewards (ProRL, arXiv 2505.24864; DAPO, 2503.14476)."""

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
from underdog.recipe.reinforcement import BUILT_IN, EntropyBonus, PolicyLoss, Reinforce, Shaping
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
from underdog.train.rollouts import Answering, Sampler, groups, share_out
from underdog.train.strategy import Strategy
from underdog.train.trainer import Trainer
from underdog.train.watch import describe, examples
from underdog.verify.problem import Problem
from underdog.verify.problem_files import read_problems

T = TypeVar("T")
OFF_SAMPLER = 0.1
"""Nats a token between sampler and trainer, before any update, above which they cannot be the same model."""
PROBE_TOKENS = 16
"""Of the two answers on which they are compared before the first step."""


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
    longest = max((len(prompt_ids(problem.prompt, tokenizer)) for problem in [*taught, *validation]), default=0)
    _check_room(plan, longest, policy.config.context, "model")
    trainer = Trainer(policy, settings.optimizer, PolicyGradient(*settings.clip), strategy)
    others = {name: _another(start, trainer) for name in ("reference", *(["best"] if settings.reset.rollback else []))}
    run = Resumable(out, trainer, settings.steps, others)
    pool = Pool(taught, derive(seed, "pool"), run.memory)
    for stage in plan:
        pool.check(stage.settings.mix, f'The mix of stage "{stage.name}"')
    with _engine(settings.engine, trainer, tokenizer) as engine:
        _check_room(plan, longest, engine.context, "server")
        sampler = Sampler(engine, tokenizer, seed, trainer.strategy.among)
        loop = Loop(settings, trainer, sampler, others["reference"], others.get("best"), run.memory, out)
        for number, step in enumerate(run.steps()):
            stage = stage_at(plan, step)
            if not number:
                loop.compare(taught[:1], stage.settings)
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
        if self.resets.look(score):
            if self.best:
                self.trainer.copy_to(self.best)
        elif self.best and self.resets.collapsed():
            self.trainer.copy_from(self.best)
            self.trainer.clear_optimizer()
            why = f"validation collapsed to {score:.3f}: back to the best policy"
            self._reset(step, self.resets.note(step, why))
        self._reset(step, self.resets.stalled(step))

    def compare(self, problems: Sequence[Problem], settings: Reinforce) -> None:
        """Refuses a sampler that is plainly another model than the trainer's, by a few short answers of it."""
        short = min(PROBE_TOKENS, settings.max_new_tokens)
        asked = settings.model_copy(
            update={"max_new_tokens": short, "shaping": Shaping(), "loss": PolicyLoss(), "kl": 0.0}
        )
        parts = [collate_groups(groups(self.sampler.probe(problems, asked), asked, 0))]
        self.trainer.objective = objective(asked, {})
        _check_sampler(self.trainer.figures(parts)["off_sampler"], settings)

    def learn(self, step: int, stage: Stage, pool: Pool) -> None:
        """Rollouts, rewards, and the updates that they give."""
        now, within = stage.settings, step - stage.steps.start
        self._reset(step, self.resets.due(step))
        kept, seen = self.sampler.collect(pool, now, step)
        self.trainer.objective = objective(now, self.memory)
        work = [
            batches(share_out(part, now.loss.average, now.max_new_tokens), self.trainer, self.reference, now)
            for part in minibatches(groups(kept, now, within), now.minibatches)
        ]
        updates = [self.trainer.update(parts, now.lr) for parts in work]
        figures = {**updates[-1], "off_sampler": updates[0]["off_sampler"]} if updates else {}
        _check_sampler(figures.get("off_sampler", 0.0), now)
        adapt(self.settings.entropy, figures, self.memory)
        summary = describe(seen, kept)
        self.out.log(step=step, stage=stage.name, **summary, **figures)
        if step % self.settings.validate_every == 0:
            self.out.log(step=step, rollouts=examples(seen, self.sampler.tokenizer))
        self.out.progress(step + 1, self.settings.steps, f"reward {summary['reward']:.3f}")
        # The state before the next step holds this reset, so its line in the log belongs to this one.
        self._reset(step, self.resets.spiked(step + 1, figures.get("kl_to_reference", 0.0)))

    def _reset(self, step: int, why: str | None) -> None:
        """Makes the reset for which there is a reason."""
        if not why:
            return
        self.trainer.copy_to(self.reference)
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


def batches(groups: Sequence[Group], trainer: Trainer, reference: Decoder, settings: Reinforce) -> list[Batch]:
    """The groups as batches, with the log-probabilities of other policies where the loss wants them and this process
    computes the batch."""
    others = {"reference": reference} if settings.kl else {}
    if settings.loss.sampler_correction:
        others["old"] = trainer.model
    parts = [collate_groups(part) for part in cut(groups, lambda group: group.tokens, trainer.strategy.part_tokens)]
    for batch in parts:
        batch.extra.update({name: torch.zeros(batch.tokens) for name in others})

    def compared(batch: Batch) -> None:
        for name, model in others.items():
            with torch.no_grad():
                logprobs_M, _, taught_M = policy_logprobs(model, batch, settings.temperature)
            batch.extra[name].index_copy_(0, taught_M.cpu(), logprobs_M.cpu())

    list(side_by_side(compared, trainer.strategy.own(parts)))
    return parts


def _another(start: Artifact, trainer: Trainer) -> Decoder:
    """The checkpoint once more, where and as the trainer's strategy keeps models."""
    model = load_pretrained(start.path)
    trainer.strategy.place(model)
    return model


@contextmanager
def _engine(name: str, trainer: Trainer, tokenizer: Tokenizer) -> Iterator[Answering]:
    if name == BUILT_IN:
        yield Engine(trainer.model, tokenizer.turn_end)
        return
    from underdog.generate.vllm import Policy, open_vllm

    config = trainer.model.config
    policy = Policy(
        config.context, lambda: trainer.version, lambda folder: trainer.save(tokenizer, folder), config.tied
    )
    with open_vllm(name, policy, tokenizer, trainer.strategy.among) as vllm:
        yield vllm


def _check_sampler(difference: float, settings: Reinforce) -> None:
    """Refuses to learn from answers of what is plainly another model. `difference`: see OFF_SAMPLER."""
    if difference > OFF_SAMPLER:
        raise UserError(
            f"The sampler's log-probabilities are {difference:.2f} nats a token from the trainer's: "
            "its weights, its tokenizer or its temperature are others.",
            hint=f'reinforce.engine is "{settings.engine}".',
        )


def _check_room(plan: Sequence[Stage], longest: int, context: int, whose: str) -> None:
    """Refuses, before the first rollout, a stage whose answers would not fit behind the longest prompt."""
    for stage in plan:
        if (needed := longest + stage.settings.max_new_tokens) > context:
            raise UserError(
                f'Stage "{stage.name}" needs {needed} tokens: the longest prompt has {longest}, and max_new_tokens is '
                f"{stage.settings.max_new_tokens}; the {whose}'s context holds {context}.",
                hint=f"Set reinforce.max_new_tokens to at most {context - longest}, or give the {whose} more context.",
            )
