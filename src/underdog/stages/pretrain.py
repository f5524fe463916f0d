"""Pretrain: from random weights through the recipe's phases, in one process (FG-WSD: Nanbeige4-3B, section 3)."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Model, Pretrain
from underdog.seeds import derive
from underdog.tokens.phases import Schedule, Step, mixable_tokens
from underdog.tokens.shards import open_source
from underdog.tokens.streams import Stream
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.average import Average
from underdog.train.data import packed_rows
from underdog.train.objectives import NextToken
from underdog.train.resume import Resumable
from underdog.train.spikes import Spikes
from underdog.train.strategy import Strategy
from underdog.train.trainer import NotFinite, Trainer
from underdog.train.validation import HeldOut, continuations


def pretrain(
    settings: Pretrain, shape: Model, seed: int, data: Artifact, out: Draft, strategy: Strategy | None = None
) -> None:
    """Writes a checkpoint; logs the loss by step, skipped steps, and after each phase the loss on held-out text."""
    tokenizer = Tokenizer.load(data.path)
    schedule = Schedule(settings, shape.context, shape.rope_base)
    schedule.check_epochs(mixable_tokens(data.metrics), settings.epochs, settings.epochs_of)
    sources = {name: open_source(data.path, name, tokenizer.fingerprint) for name in schedule.sources}
    streams = {name: Stream(source, derive(seed, name)) for name, source in sources.items()}
    held_out = HeldOut(data.path, data.metrics["tokens"], tokenizer.fingerprint)

    model = Decoder(ModelConfig.from_recipe(shape, tokenizer.vocabulary)).initialise(derive(seed, "weights"))
    trainer = Trainer(model, settings.optimizer, NextToken(settings.z_loss), strategy)
    average = Average(model, settings.average) if settings.average else None
    run = Resumable(out, trainer, schedule.steps, {"average": average} if average else {})
    spikes = Spikes(settings.spikes, run.memory)
    decay = schedule.spans[-1]  # the phase that is averaged over
    for index in run.steps():
        step, rows = schedule.at(index), schedule.rows(index)
        model.set_rope_base(step.rope_base)
        with _named(step, rows):
            parts = packed_rows(rows, streams, step.context, trainer.strategy.part_tokens)
            figures = trainer.update(parts, step.lr, spikes.accept)
        if average and index >= decay.first_step:
            average.update(index - decay.first_step)
            if index == schedule.steps - 1:
                average.put()
        at = {"step": index, "tokens": step.tokens_after, "phase": step.phase}
        out.log(**at, context=step.context, **figures, **({"skipped": spikes.reason} if spikes.reason else {}))
        out.progress(step.tokens_after, schedule.tokens, f"{step.phase}  loss {figures['loss']:.2f}")
        if step.ends_phase:
            good, by_tier = held_out.losses(model, step.context)
            out.log(**at, held_out=good, held_out_by_tier=by_tier)
            run.memory.setdefault("held_out", {})[step.phase] = good
            run.memory.setdefault("held_out_by_tier", {})[step.phase] = by_tier
    accuracy, texts = continuations(model, held_out.good)
    trainer.save(tokenizer, out.path)
    out.metrics = {
        "parameters": model.parameter_count(),
        "tokens": schedule.tokens,
        "tokens_by_source": schedule.used,
        "held_out_loss": run.memory["held_out"],
        "held_out_by_tier": run.memory["held_out_by_tier"],
        "continuations": {"accuracy": accuracy, "texts": texts},
        "skipped_steps": spikes.skipped,
        "tokens_per_second": schedule.tokens / out.seconds,
    }


@contextlib.contextmanager
def _named(step: Step, rows: Sequence[tuple[str, int]]) -> Iterator[None]:
    """Says which step, phase and sources a loss or gradient that is no number came from."""
    try:
        yield
    except NotFinite as problem:
        sources = ", ".join(f"{count} of {name}" for name, count in Counter(name for name, _ in rows).most_common())
        raise UserError(
            f'Step {step.index} (phase "{step.phase}", sequences: {sources}): {problem}', hint=problem.hint
        ) from None
