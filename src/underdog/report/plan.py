"""What a recipe's pretraining will do, as plain data: the terminal and the run card draw it from here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from underdog.recipe.schema import TIERS, Rate, Recipe
from underdog.recipe.synthesis import OWN, Reconstruct, Refine
from underdog.report.words import figure, short
from underdog.tokens.phases import Schedule, Span

SOURCES = ("demonstrations", *TIERS)
"""What pretraining usually reads, best text first."""


@dataclass(frozen=True)
class Size:
    """What a run has to compute."""

    parameters: int
    inside: int  # parameters without the embeddings
    flops: float  # of pretraining: forward and backward passes


@dataclass(frozen=True)
class Reading:
    """How much of a source is read."""

    source: str
    tokens: int  # over all phases
    there: int | None  # None while the text is not tokenised
    most: float  # epochs allowed

    @property
    def epochs(self) -> float | None:
        return self.tokens / self.there if self.there else None


@dataclass(frozen=True)
class Synthesis:
    """What teachers will do to the rows that SFT reads."""

    stage: str
    models: str
    requests: int  # most of them for a row, where no server fails
    rows: int | None  # most that are worked on; None: all of sft.data
    budget: str


def synthesis(recipe: Recipe) -> list[Synthesis]:
    """The stages refine and reconstruct, as far as the recipe alone can say."""
    found = []
    if recipe.refine.teachers:
        drafts, judges = len(recipe.refine.teachers), len(recipe.refine.evaluators or recipe.refine.teachers)
        scored = 2 * judges  # what has not the shape that was asked for is asked for once more
        requests = 2 + drafts + (1 + drafts) * scored + recipe.refine.rounds * (1 + scored)
        found.append(_synthesis("refine", recipe.refine, requests))
    if recipe.reconstruct.teacher:
        summary = recipe.reconstruct.summary and recipe.reconstruct.teacher != OWN
        found.append(_synthesis("reconstruct", recipe.reconstruct, summary + 4 * recipe.reconstruct.attempts))
    return found


def _synthesis(stage: str, settings: Refine | Reconstruct, requests: int) -> Synthesis:
    budget = settings.budget
    parts = [f"{short(budget.tokens)} tokens"] if budget.tokens else []
    parts += [f"{budget.money:g} of money"] if budget.money else []
    models = ", ".join(dict.fromkeys(settings.models))
    return Synthesis(stage, models, requests, settings.rows or None, " and ".join(parts) or "none")


def schedule(recipe: Recipe) -> Schedule:
    """The recipe's phases, laid out."""
    return Schedule(recipe.pretrain, recipe.model.context, recipe.model.rope_base)


def ordered(sources: Iterable[str]) -> list[str]:
    """Best text first, as everywhere; what is no tier follows by name."""
    names = set(sources)
    first = [name for name in SOURCES if name in names]
    return [*first, *sorted(names - set(first))]


def readings(recipe: Recipe, there: Mapping[str, int] | None) -> list[Reading]:
    """Every source that the plan reads. `there` holds the tokens of each, where they are known."""
    pretrain, used = recipe.pretrain, schedule(recipe).used
    return [
        Reading(name, used[name], there.get(name, 0) if there else None, pretrain.epochs_of.get(name, pretrain.epochs))
        for name in ordered(used)
        if used[name]
    ]


def rate(span: Span) -> str:
    """ "4.5e-4 → 1.5e-6, 1-sqrt"."""
    lr = span.phase.lr
    if not isinstance(lr, Rate) or lr.start == lr.end:
        return figure(lr.start if isinstance(lr, Rate) else lr)
    return f"{figure(lr.start)} → {figure(lr.end)}, {lr.shape}"


def size(recipe: Recipe) -> Size:
    """Parameters by building the model without its weights; FLOPs as 6 for each weight that multiplies, and 6 × width
    of attention × half the sequence for the scores and the sums of values (a token sees half of its sequence)."""
    import torch

    from underdog.model.config import ModelConfig
    from underdog.model.decoder import Decoder

    with torch.device("meta"):
        model = Decoder(ModelConfig.from_recipe(recipe.model, recipe.tokenizer.vocabulary))
    weights = dict(model.named_parameters())
    table = weights["model.embed_tokens.weight"].numel()
    inside = sum(w.numel() for name, w in weights.items() if not name.startswith(("model.embed_tokens", "lm_head")))
    shape = recipe.model
    attention = 2 * shape.layers * shape.heads * shape.head_width  # products of scores and of values, a position seen
    flops = sum(6 * span.tokens * (inside + table + attention * span.context / 2) for span in schedule(recipe).spans)
    return Size(model.parameter_count(), inside, flops)
