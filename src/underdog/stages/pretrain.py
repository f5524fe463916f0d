"""Pretrain: from random weights through the recipe's phases, in one process (FG-WSD: Nanbeige4-3B, section 3)."""

import torch

from underdog.artifacts.store import Artifact, Draft
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.model.weights import save_pretrained
from underdog.recipe.schema import Model, Pretrain
from underdog.seeds import derive
from underdog.tokens.phases import Schedule
from underdog.tokens.shards import Shard
from underdog.tokens.streams import Stream
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.data import packed_rows
from underdog.train.objectives import next_token
from underdog.train.resume import Resumable
from underdog.train.trainer import Trainer


def pretrain(settings: Pretrain, shape: Model, seed: int, data: Artifact, out: Draft) -> None:
    """Writes a checkpoint; logs the loss by step and the loss on held-out good text after each phase."""
    tokenizer = Tokenizer.load(data.path)
    schedule = Schedule(settings, shape.context, shape.rope_base)
    schedule.check_epochs(data.metrics["tokens"], settings.epochs)
    shards = {source: Shard(data.path, source) for source in schedule.sources}
    streams = {source: Stream(shard, derive(seed, source)) for source, shard in shards.items()}
    held_out = Shard(data.path, "held-out")

    model = Decoder(ModelConfig.from_recipe(shape, tokenizer.vocabulary)).initialise(derive(seed, "weights"))
    trainer = Trainer(model, settings.optimizer, next_token)
    run = Resumable(out, trainer, schedule.steps)
    for index in run.steps():
        step = schedule.at(index)
        model.set_rope_base(step.rope_base)
        figures = trainer.update(packed_rows(schedule.rows(index), streams, step.context), step.lr)
        seen = step.tokens + schedule.batch_tokens
        out.log(step=index, tokens=seen, phase=step.phase, context=step.context, **figures)
        out.progress(seen, schedule.tokens, f"{step.phase}  loss {figures['loss']:.2f}")
        if step.ends_phase:
            loss = held_out_loss(model, held_out, step.context)
            out.log(step=index, tokens=seen, phase=step.phase, held_out=loss)
            run.memory.setdefault("held_out", {})[step.phase] = loss
    save_pretrained(model, tokenizer, out.path)
    out.metrics = {
        "parameters": model.parameter_count(),
        "tokens": schedule.tokens,
        "tokens_by_source": schedule.used,
        "held_out_loss": run.memory["held_out"],
        "tokens_per_second": schedule.tokens / out.seconds,
    }


@torch.no_grad()
def held_out_loss(model: Decoder, shard: Shard, context: int, most: int = 65_536) -> float:
    """Mean cross-entropy (nats a token) over the first `most` tokens of a shard."""
    rows = [(shard.name, i * context) for i in range(max(1, min(most, len(shard) - 1) // context))]
    total = count = 0.0
    for part in packed_rows(rows, {shard.name: Stream(shard, seed=0)}, context):
        total += float(next_token(model, part).loss["cross_entropy"])
        count += float(part.weights_N.sum())
    return total / count
