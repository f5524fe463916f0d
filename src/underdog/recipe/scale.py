"""One dial for the size of everything: the same recipe in minutes on a laptop and in weeks on a cluster.

With `--scale s` the tokens, the steps and the problems shrink by s, the parameters by about the square root of s
(width and depth by its sixth root each: a model has about width² × depth parameters), the vocabulary by the square
root, context and batch by the fourth root. The rule is ours; each floor keeps the smallest run a real one.
"""

from collections.abc import Callable

from underdog.recipe.schema import Recipe

Rule = Callable[[float], float]


def scaled(recipe: Recipe, scale: float) -> tuple[Recipe, list[str]]:
    """The recipe at `scale`, and the dotted keys of the settings that changed."""
    model = recipe.model
    head = min(model.head_width, 32) if scale < 1 else model.head_width
    groups = model.heads // model.kv_heads
    kv_heads = max(1, round(model.kv_heads * model.head_width * scale ** (1 / 6) / head))
    width = kv_heads * groups * head
    model = model.model_copy(
        update={
            "head_width": head,
            "kv_heads": kv_heads,
            "heads": kv_heads * groups,
            "width": width,
            "ffn": max(64, 32 * round(recipe.model.ffn / recipe.model.width * width / 32)),
            "layers": _whole(recipe.model.layers * scale ** (1 / 6), 2),
            "context": _whole(recipe.model.context * scale**0.25, 256, multiple=64),
        }
    )
    longest = model.context
    pretrain = recipe.pretrain.model_copy(
        update={
            "tokens": _whole(recipe.pretrain.tokens * scale, 100_000),
            "batch_tokens": _whole(recipe.pretrain.batch_tokens * scale**0.25, longest, multiple=longest),
            "phase": [
                phase.model_copy(update={"context": phase.context and min(phase.context, longest)})
                for phase in recipe.pretrain.phase
            ],
        }
    )
    changed = recipe.model_copy(
        update={
            "model": model,
            "pretrain": pretrain,
            "tokenizer": recipe.tokenizer.model_copy(
                update={"vocabulary": _whole(recipe.tokenizer.vocabulary * scale**0.5, 512, multiple=64)}
            ),
            "problems": recipe.problems.model_copy(
                update={
                    "demonstrations": _whole(recipe.problems.demonstrations * scale, 100),
                    "train": _whole(recipe.problems.train * scale, 200),
                    "validation": _whole(recipe.problems.validation * scale, 20),
                    "test": _whole(recipe.problems.test * scale, 40),
                }
            ),
            "sft": recipe.sft.model_copy(update={"steps": _whole(recipe.sft.steps * scale, 20)}),
            "reinforce": recipe.reinforce.model_copy(
                update={"steps": _whole(recipe.reinforce.steps * scale, 3) if recipe.reinforce.steps else 0}
            ),
        }
    )
    before, after = dict(_numbers(recipe)), dict(_numbers(changed))
    return changed, [key for key, value in after.items() if before.get(key) != value]


def _whole(value: float, least: int, multiple: int = 1) -> int:
    return max(least, multiple * round(value / multiple))


def _numbers(recipe: Recipe):
    for section, values in recipe.model_dump().items():
        if isinstance(values, dict):
            yield from ((f"{section}.{key}", value) for key, value in values.items())
