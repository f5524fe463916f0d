"""One dial for the size of everything: the same recipe in minutes on a laptop and in weeks on a cluster.

With `--scale s` the tokens, the steps and the problems shrink by s, the parameters by about the square root of s
(width and depth by its sixth root each: a model has about width² × depth parameters), the vocabulary by the square
root, context and batch by the fourth root, the batch further where it would leave too few steps. The rule is ours;
each floor keeps the smallest run a real one.
"""

import math

from underdog.errors import UserError
from underdog.recipe.schema import Model, Recipe

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
    pretrain, problems = recipe.pretrain, recipe.problems
    steps = recipe.reinforce.steps
    tokens = _whole(pretrain.tokens, scale, 100_000)
    batch = scale**0.25 if scale > 1 else min(scale**0.25, tokens / FEWEST_STEPS / pretrain.batch_tokens)
    updates = {
        "pretrain": {
            "tokens": tokens,
            "batch_tokens": _whole(pretrain.batch_tokens, batch, model.context, multiple=model.context),
            "phase": [
                phase.model_copy(update={"context": phase.context and _context(phase.context, scale)})
                for phase in pretrain.phase
            ],
        },
        "tokenizer": {"vocabulary": _whole(recipe.tokenizer.vocabulary, scale**0.5, 512, multiple=64)},
        "problems": {
            "demonstrations": _whole(problems.demonstrations, scale, 100),
            "train": _whole(problems.train, scale, 200),
            "validation": _whole(problems.validation, scale, 20),
            "test": _whole(problems.test, scale, 40),
        },
        "sft": {"steps": _whole(recipe.sft.steps, scale, 20)},
        "reinforce": {"steps": _whole(steps, scale, 3) if steps else 0},
    }
    sections = {name: getattr(recipe, name).model_copy(update=update) for name, update in updates.items()}
    return recipe.model_copy(update={"model": model, **sections})


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
    return _whole(context, scale**0.25, 256, multiple=64)


def _whole(value: int, factor: float, least: int, multiple: int = 1) -> int:
    if factor == 1:
        return value
    changed = max(least, multiple * round(value * factor / multiple))
    return min(changed, value) if factor < 1 else max(changed, value)
