"""Fitting a decoder's adapter and head to labelled texts, until rows it does not learn from stop getting better."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from underdog.lanes import cut, lanes
from underdog.model.attention import end_to_end
from underdog.model.classifier import class_scores
from underdog.model.decoder import Decoder
from underdog.recipe.common import Optimizer
from underdog.seeds import derive
from underdog.train.batch import Batch
from underdog.train.objectives import Sums, taught_hidden
from underdog.train.schedules import warmup_cosine
from underdog.train.shuffle import Shuffle
from underdog.train.trainer import Trainer

Labelled = tuple[Sequence[int], int]  # a text's ids and its class


@dataclass(frozen=True)
class Fitting:
    """How long, and how fast."""

    epochs: float = 2.0  # at most
    batch: int = 32  # texts a step
    lr: float = 1e-3
    warmup: float = 0.05
    look_every: int = 40  # steps between looks at the held-out rows
    patience: int = 3  # looks without a better one that end it
    minutes: float = math.inf  # at most, by the clock; results then hang on how fast the machine is


def classify(model: Decoder, batch: Batch) -> Sums:
    """Objective: cross-entropy of the classes at the tokens that carry weight."""
    hidden_MD, taught_M = taught_hidden(model, batch)
    loss = cross_entropy(model.score(hidden_MD), batch.targets_N[taught_M], reduction="sum")
    return Sums({"cross_entropy": loss}, {})


def fit_classes(
    model: Decoder,
    texts: Sequence[Labelled],
    held: Sequence[Labelled],
    settings: Fitting,
    seed: int,
    on_look: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> int:
    """Trains what is not frozen, in place, and leaves it as it was at the best look; returns the steps taken.

    `on_look` is told the step, the most steps there may be, and the held-out loss in nats a text.
    """
    trainer = Trainer(model, Optimizer(weight_decay=0.0), classify)
    order = Shuffle(len(texts), derive(seed, "order"))
    steps = max(1, round(settings.epochs * len(texts) / settings.batch))
    best, kept, worse = float("inf"), _copy(trainer), 0
    begin = time.monotonic()
    for step in range(1, steps + 1):
        batch = [texts[order[(step - 1) * settings.batch + index]] for index in range(settings.batch)]
        most = min(trainer.strategy.part_tokens, math.ceil(sum(map(_tokens, batch)) / lanes()))  # work for every lane
        done = max(step / steps, (time.monotonic() - begin) / (60 * settings.minutes))
        trainer.update(map(lay, cut(batch, _tokens, most)), settings.lr * warmup_cosine(min(done, 1), settings.warmup))
        if step % settings.look_every and done < 1:
            continue
        loss = held_out_loss(model, held)
        on_look(step, steps, loss)
        worse = 0 if loss < best else worse + 1
        if loss < best:
            best, kept = loss, _copy(trainer)
        if worse == settings.patience or done >= 1:
            break
    with torch.no_grad():
        for name, weight in trainer.strategy.weights(model).items():
            weight.copy_(kept[name])
    return step


def held_out_loss(model: Decoder, held: Sequence[Labelled]) -> float:
    """Cross-entropy in nats a text."""
    scores_SC = class_scores(model, [ids for ids, _ in held])
    return float(cross_entropy(scores_SC, torch.tensor([label for _, label in held])))


def lay(texts: Sequence[Labelled]) -> Batch:
    """Texts end to end; the last token of each is to say its class."""
    lengths = [len(ids) for ids, _ in texts]
    ids_N = torch.tensor([token for ids, _ in texts for token in ids])
    targets_N, weights_N = torch.zeros_like(ids_N), torch.zeros(len(ids_N))
    last_S = torch.tensor(lengths).cumsum(0) - 1
    targets_N[last_S] = torch.tensor([label for _, label in texts])
    weights_N[last_S] = 1.0
    return Batch(ids_N, targets_N, weights_N, end_to_end(lengths))


def _tokens(text: Labelled) -> int:
    return len(text[0])


def _copy(trainer: Trainer) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.strategy.weights(trainer.model).items()}
