"""One dial for the size of everything: the same recipe in minutes on a laptop and in weeks on a cluster.

With `--scale s` the tokens, the steps and the problems shrink by s, the parameters by about the square root of s
(width and depth by its sixth root each: a model has about width² × depth parameters), the vocabulary by the square
root, contexts, answers and batches by the fourth root, the batches further where they would leave too few steps. Rates
grow by the eighth root, as the best rate falls with compute (C^-0.125 in DeepSeek LLM, arXiv 2401.02954; taken over
tokens alone here). The rule is ours; each floor keeps the smallest run a real one.
"""

import math
from typing import Any

from underdog.errors import UserError
from underdog.recipe.reinforcement import Reinforce, ReinforceStage, Shaping
from underdog.recipe.schema import Model, Phase, Pretrain, Rate, Recipe

FEWEST_STEPS = 100  # of pretraining: fewer learn next to nothing, whatever the batch


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """The recipe at `scale`. What shrinks never ends above where it was, nor what grows below.

    Raises:
        UserError: the scale is not a positive number.
    """
    if not 0 < scale < math.inf:
        raise UserError(
            f"A scale of {scale:g} cannot be.", hint="1 is the recipe as it is, 0.01 has a hundredth of its tokens."
        )
    model = _scaled_model(recipe.model, scale)
    problems, reinforce = recipe.problems, recipe.reinforce
    updates = {
        "problems": {
            "demonstrations": _whole(problems.demonstrations, scale, 100),
            "train": _whole(problems.train, scale, 200),
            "validation": _whole(problems.validation, scale, 20),
            "test": _whole(problems.test, scale, 40),
        },
        "tokenizer": {"vocabulary": _whole(recipe.tokenizer.vocabulary, scale**0.5, 512, multiple=64)},
        "sft": {
            "steps": _whole(recipe.sft.steps, scale, 20),
            "batch_tokens": _whole(recipe.sft.batch_tokens, scale**0.25, 1024),
            "lr": _rate(recipe.sft.lr, scale),
        },
        "refine": {"rows": recipe.refine.rows and _whole(recipe.refine.rows, scale, 20)},
        "reconstruct": {
            "rows": recipe.reconstruct.rows and _whole(recipe.reconstruct.rows, scale, 20),
            "own": recipe.reconstruct.own.model_copy(update={"steps": _whole(recipe.reconstruct.own.steps, scale, 20)}),
        }
        if recipe.reconstruct.teacher
        else {},
        "distill": {
            "steps": _whole(recipe.distill.steps, scale, 3),
            "prompts": _whole(recipe.distill.prompts, scale**0.25, 8),
            "batch_tokens": _whole(recipe.distill.batch_tokens, scale**0.25, 1024),
            "lr": _rate(recipe.distill.lr, scale),
            "max_new_tokens": _answer(recipe.distill.max_new_tokens, model.context, scale),
        }
        if recipe.distill.steps
        else {},
        "reinforce": _scaled_reinforce(reinforce, model.context, scale) if reinforce.steps else {},
        "evaluate": {"max_new_tokens": _answer(recipe.evaluate.max_new_tokens, model.context, scale)},
    }
    sections = {name: getattr(recipe, name).model_copy(update=update) for name, update in updates.items()}
    return recipe.model_copy(
        update={"model": model, "pretrain": _scaled_pretrain(recipe.pretrain, model.context, scale), **sections}
    )


def _scaled_pretrain(pretrain: Pretrain, context: int, scale: float) -> Pretrain:
    """Every batch stays a whole number of sequences of every length that it is cut into."""
    budget = _whole(pretrain.tokens, scale, 100_000)
    phases = [_scaled_phase(phase, scale, budget / pretrain.tokens) for phase in pretrain.phase]
    if phases and all(phase.tokens for phase in phases):
        budget = sum(phase.tokens or 0 for phase in phases)
    shared = math.lcm(context, *(phase.context for phase in phases if phase.context and not phase.batch_tokens))

    def batch(tokens: int, multiple: int) -> int:
        factor = scale**0.25 if scale > 1 else min(scale**0.25, budget / FEWEST_STEPS / tokens)
        return _whole(tokens, factor, multiple, multiple=multiple)

    return pretrain.model_copy(
        update={
            "tokens": budget,
            "peak_lr": pretrain.peak_lr if pretrain.preset == "own" else _rate(pretrain.peak_lr, scale),
            "batch_tokens": batch(pretrain.batch_tokens, shared),
            "phase": [
                phase.model_copy(
                    update={"batch_tokens": phase.batch_tokens and batch(phase.batch_tokens, phase.context or context)}
                )
                for phase in phases
            ],
        }
    )


def _scaled_phase(phase: Phase, scale: float, of_tokens: float) -> Phase:
    lr: float | Rate
    if isinstance(phase.lr, Rate):
        lr = phase.lr.model_copy(update={"start": _rate(phase.lr.start, scale), "end": _rate(phase.lr.end, scale)})
    else:
        lr = _rate(phase.lr, scale)
    return phase.model_copy(
        update={
            "lr": lr,
            "tokens": phase.tokens and max(1, round(phase.tokens * of_tokens)),
            "context": phase.context and _context(phase.context, scale),
        }
    )


def _scaled_reinforce(reinforce: Reinforce, context: int, scale: float) -> dict[str, Any]:
    steps = _whole(reinforce.steps, scale, max(3, 2 * len(reinforce.stage)))
    per_step = steps / reinforce.steps  # what happens every so many steps happens as often in the whole run
    answer = _answer(reinforce.max_new_tokens, context, scale)
    return {
        "steps": steps,
        "prompts": _whole(reinforce.prompts, scale**0.25, 8),
        "lr": _rate(reinforce.lr, scale),
        "max_new_tokens": answer,
        "shaping": _scaled_shaping(_spelled_out(reinforce.shaping), answer / reinforce.max_new_tokens, per_step),
        "validate_every": _whole(reinforce.validate_every, per_step, 1),
        "reset": reinforce.reset.model_copy(
            update={"every": reinforce.reset.every and _whole(reinforce.reset.every, per_step, 1)}
        ),
        "stage": [_scaled_stage(stage, reinforce, context, scale, per_step) for stage in reinforce.stage],
    }


def _scaled_stage(
    stage: ReinforceStage, reinforce: Reinforce, context: int, scale: float, per_step: float
) -> ReinforceStage:
    limit = stage.max_new_tokens or reinforce.max_new_tokens
    answer = _answer(limit, context, scale)
    return stage.model_copy(
        update={
            "prompts": stage.prompts and _whole(stage.prompts, scale**0.25, 8),
            "lr": stage.lr and _rate(stage.lr, scale),
            "max_new_tokens": stage.max_new_tokens and answer,
            "shaping": stage.shaping and _scaled_shaping(stage.shaping, answer / limit, per_step),
        }
    )


def _scaled_shaping(shaping: Shaping, per_token: float, per_step: float) -> Shaping:
    """What is said in it: a stage leaves the rest to [reinforce]."""
    length = shaping.length
    rhythm = {"on": _whole(length.on, per_step, 1), "off": length.off and _whole(length.off, per_step, 1)}
    changed = {
        "overlong": shaping.overlong and _whole(shaping.overlong, per_token, 1),
        "length": length.model_copy(update=_of(rhythm, length.model_fields_set)),
    }
    return shaping.model_copy(update=_of(changed, shaping.model_fields_set))


def _spelled_out(shaping: Shaping) -> Shaping:
    """With its defaults as if they had been said."""
    return Shaping.model_validate(shaping.model_dump())


def _of(values: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names}


def _rate(lr: float, scale: float) -> float:
    """A learning rate, to three digits."""
    return lr if scale == 1 else float(f"{lr * scale**-0.125:.3g}")


def _answer(tokens: int, context: int, scale: float) -> int:
    """Room for an answer: where it shrinks, at most a quarter of the context, and not below 64."""
    changed = _whole(tokens, scale**0.25, 64)
    return max(min(changed, context // 4), min(changed, 64)) if scale < 1 else changed


def _scaled_model(model: Model, scale: float) -> Model:
    """Heads of at most 32 where it shrinks, so that few of them still make a width."""
    head = min(model.head_width, 32) if scale < 1 else model.head_width
    groups = model.heads // model.kv_heads
    kv_heads = _whole(model.kv_heads * model.head_width // head, scale ** (1 / 6), 1)
    growth = kv_heads * groups * head / (model.heads * model.head_width)
    return model.model_copy(
        update={
            "head_width": head,
            "kv_heads": kv_heads,
            "heads": kv_heads * groups,
            "width": _whole(model.width, growth, head, multiple=head),
            "ffn": _whole(model.ffn, growth, 64, multiple=32),
            "layers": _whole(model.layers, scale ** (1 / 6), 2),
            "context": _context(model.context, scale),
        }
    )


def _context(context: int, scale: float) -> int:
    """A power of two where it changes, so that sequences of several lengths fill the same batch."""
    if scale == 1:
        return context
    nearest = 2 ** round(math.log2(max(256.0, context * scale**0.25)))
    return min(context, nearest) if scale < 1 else max(context, nearest)


def _whole(value: int, factor: float, least: int, multiple: int = 1) -> int:
    if factor == 1:
        return value
    changed = max(least, multiple * round(value * factor / multiple))
    return min(changed, value) if factor < 1 else max(changed, value)
