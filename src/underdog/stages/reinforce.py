"""Reinforce: prolonged reinforcement learning with verified rewards (ProRL, arXiv 2505.24864; DAPO, 2503.14476)."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch

from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.generate.engine import Engine
from underdog.lanes import side_by_side
from underdog.model.decoder import Decoder
from underdog.model.weights import load_pretrained, save_pretrained
from underdog.recipe.reinforcement import EntropyBonus, Reinforce
from underdog.recipe.stages import Stage, stage_at, stages
from underdog.seeds import derive
from underdog.tokens.chat import prompt_ids
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Batch, Group, collate_groups, cut
from underdog.train.objectives import policy_logprobs
from underdog.train.policy import PolicyGradient
from underdog.train.pool import Pool
from underdog.train.resets import Resets
from underdog.train.resume import Resumable
from underdog.train.rollouts import Sampler, describe, groups, share_out
from underdog.train.strategy import PART_TOKENS
from underdog.train.trainer import Trainer
from underdog.verify.problem import Problem
from underdog.verify.problem_files import read_problems

T = TypeVar("T")


def reinforce(settings: Reinforce, seed: int, start: Artifact, problems: Artifact, out: Draft) -> None:
    """Improves `start` on the training problems by the rewards of its own answers; writes a checkpoint."""
    tokenizer = Tokenizer.load(start.path)
    policy = load_pretrained(start.path)
    reference, best = copy.deepcopy(policy), copy.deepcopy(policy)
    trainer = Trainer(policy, settings.optimizer, PolicyGradient(*settings.clip))
    run = Resumable(out, trainer, settings.steps, {"reference": reference, "best": best})
    taught = read_problems(problems.path / "train.jsonl")
    pool = Pool(taught, derive(seed, "pool"), run.memory)
    validation = read_problems(problems.path / "validation.jsonl")
    sampler = Sampler(Engine(policy, tokenizer.turn_end), tokenizer, seed)
    resets = Resets(settings.reset, run.memory)
    plan = stages(settings)
    _check_room(plan, [*taught, *validation], tokenizer, policy.config.context)

    def reset(step: int, why: str) -> None:
        reference.load_state_dict(policy.state_dict())
        if settings.reset.optimizer == "clear":
            trainer.clear_optimizer()
        out.log(step=step, reset=why)

    for step in run.steps():
        stage = stage_at(plan, step)
        now = stage.settings
        if settings.profile.samples and not pool.sorted_for(stage.name):
            rates = sampler.pass_rates(taught, now, stage.name)
            out.log(step=step, pool=pool.sort(stage.name, rates, settings.profile))
        if step % settings.validate_every == 0:
            score = sampler.score(validation, now)
            out.log(step=step, validation=score)
            if resets.is_best(score):
                best.load_state_dict(policy.state_dict())
            elif resets.collapsed(score):
                policy.load_state_dict(best.state_dict())
                trainer.clear_optimizer()
                reset(step, resets.note(step, score, f"validation collapsed to {score:.3f}: back to the best policy"))
            if why := resets.due(step, score):
                reset(step, why)

        kept, seen = sampler.collect(pool, now, step)
        trainer.objective = objective(now, run.memory)
        work = [
            list(batches(share_out(part, now.loss.average, now.max_new_tokens), policy, reference, now))
            for part in minibatches(groups(kept, now, step - stage.steps.start), now.minibatches)
        ]
        figures: dict[str, float] = {}
        for parts in work:
            figures = trainer.update(parts, now.lr)
        adapt(settings.entropy, figures, run.memory)
        summary = describe(seen, kept)
        out.log(step=step, stage=stage.name, **summary, **figures)
        out.progress(step + 1, settings.steps, f"reward {summary['reward']:.3f}")
        if why := resets.spiked(step + 1, figures.get("kl_to_reference", 0.0)):
            reset(step + 1, why)

    out.log(step=settings.steps, validation=sampler.score(validation, plan[-1].settings))
    save_pretrained(policy, tokenizer, out.path)
    out.metrics = {"steps": settings.steps, "problems_drawn": run.memory.get("position", 0)}


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


def batches(groups: Sequence[Group], policy: Decoder, reference: Decoder, settings: Reinforce) -> Iterator[Batch]:
    """The groups as batches, with the log-probabilities of other policies where the loss wants them."""
    others = {"reference": reference} if settings.kl else {}
    if settings.loss.sampler_correction:
        others["old"] = policy

    def prepared(part: Sequence[Group]) -> Batch:
        batch = collate_groups(part)
        for name, model in others.items():
            with torch.no_grad():
                logprobs_M, _, taught_M = policy_logprobs(model, batch, settings.temperature)
            batch.extra[name] = torch.zeros(batch.tokens).index_copy_(0, taught_M, logprobs_M)
        return batch

    return side_by_side(prepared, cut(groups, lambda group: group.tokens, PART_TOKENS))


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
