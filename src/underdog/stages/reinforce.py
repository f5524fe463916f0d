"""Reinforce: prolonged reinforcement learning with verified rewards (ProRL, arXiv 2505.24864; DAPO, 2503.14476)."""

import copy
from collections.abc import Iterator, Sequence

import torch

from underdog.artifacts.store import Artifact, Draft
from underdog.generate.engine import Engine
from underdog.lanes import side_by_side
from underdog.model.decoder import Decoder
from underdog.model.weights import load_pretrained, save_pretrained
from underdog.recipe.schema import Reinforce
from underdog.seeds import derive
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Batch, Group, collate_groups, cut
from underdog.train.objectives import Grpo, policy_logprobs
from underdog.train.pool import Pool
from underdog.train.resets import Resets
from underdog.train.resume import Resumable
from underdog.train.rollouts import Rollout, Sampler, describe
from underdog.train.strategy import PART_TOKENS
from underdog.train.trainer import Trainer
from underdog.verify.problem_files import read_problems


def reinforce(settings: Reinforce, seed: int, start: Artifact, problems: Artifact, out: Draft) -> None:
    """Improves `start` on the training problems by the rewards of its own answers; writes a checkpoint."""
    tokenizer = Tokenizer.load(start.path)
    policy = load_pretrained(start.path)
    reference = copy.deepcopy(policy)
    trainer = Trainer(policy, settings.optimizer, Grpo(*settings.clip, settings.kl, settings.temperature))
    run = Resumable(out, trainer, settings.steps, {"reference": reference})
    pool = Pool(read_problems(problems.path / "train.jsonl"), derive(seed, "pool"), run.memory)
    validation = read_problems(problems.path / "validation.jsonl")
    sampler = Sampler(Engine(policy, tokenizer.turn_end), tokenizer, settings, seed)
    resets = Resets(settings.reset, run.memory)

    for step in run.steps():
        if step % settings.validate_every == 0:
            score = sampler.score(validation)
            out.log(step=step, validation=score)
            if why := resets.due(step, score):
                reference.load_state_dict(policy.state_dict())
                if settings.reset.optimizer == "clear":
                    trainer.clear_optimizer()
                out.log(step=step, reset=why)

        kept, seen = sampler.collect(pool, step)
        figures: dict[str, float] = {}
        for minibatch in minibatches(kept, settings.minibatches):
            figures = trainer.update(batches(minibatch, reference, settings), settings.lr)
        summary = describe(seen, kept)
        out.log(step=step, **summary, **figures)
        out.progress(step + 1, settings.steps, f"reward {summary['reward']:.3f}")

    out.log(step=settings.steps, validation=sampler.score(validation))
    save_pretrained(policy, tokenizer, out.path)
    out.metrics = {"steps": settings.steps, **run.memory}


def minibatches(kept: Sequence[Rollout], count: int) -> Iterator[Sequence[Rollout]]:
    """Splits a step's rollouts into at most `count` parts of nearly equal size."""
    for index in range(count):
        if part := kept[index * len(kept) // count : (index + 1) * len(kept) // count]:
            yield part


def batches(rollouts: Sequence[Rollout], reference: Decoder, settings: Reinforce) -> Iterator[Batch]:
    """The rollouts as batches, with the reference policy's log-probabilities where the KL penalty wants them."""

    def prepared(part: Sequence[Group]) -> Batch:
        batch = collate_groups(part)
        if settings.kl:
            with torch.no_grad():
                logprobs_M, _, taught_M = policy_logprobs(reference, batch, settings.temperature)
            batch.extra["reference"] = torch.zeros(batch.tokens).index_copy_(0, taught_M, logprobs_M)
        return batch

    groups = [rollout.group() for rollout in rollouts]
    return side_by_side(prepared, cut(groups, lambda group: group.tokens, PART_TOKENS))
