"""The phases of pretraining as a recipe means them: written out, within the budget, mixing what there is."""

from collections.abc import Callable
from itertools import product

from underdog.errors import UserError, did_you_mean
from underdog.recipe.presets import expand_phases
from underdog.recipe.schema import ADDED, TIERS, Curate, Phase, Rate, Recipe

Where = Callable[[str], str]  # the origin of a dotted key: "recipes/demo.toml line 41"
NEAR = 1e-3  # how far shares may stray from 1: people round them


def with_budget(recipe: Recipe, where: Where, given: bool) -> Recipe:
    """The recipe with `pretrain.tokens` as the sum of its phases' tokens, where all of them say theirs.

    `given` says that the recipe names a budget of its own.
    """
    pretrain = recipe.pretrain
    fixed = sum(phase.tokens or 0 for phase in pretrain.phase)
    if not pretrain.phase or any(phase.tokens is None for phase in pretrain.phase) or fixed == pretrain.tokens:
        return recipe
    if given:
        raise UserError(
            f"{where('pretrain.tokens')}: pretrain.tokens is {pretrain.tokens:,}, but the phases hold {fixed:,}.",
            hint="Leave pretrain.tokens out, or give the phases shares of it.",
        )
    return recipe.model_copy(update={"pretrain": pretrain.model_copy(update={"tokens": fixed})})


def with_phases(recipe: Recipe, where: Where) -> Recipe:
    """The recipe with its phases written out and checked, whatever preset they come from.

    Raises:
        UserError: names the file, the line and the phase.
    """
    pretrain = recipe.pretrain
    if pretrain.preset == "own":
        if not pretrain.phase:
            raise UserError(
                f'{where("pretrain.preset")}: pretrain.preset is "own", but there is no [[pretrain.phase]].'
            )
    else:
        if pretrain.phase:
            raise UserError(
                f"{where('pretrain.phase.0')}: the recipe has [[pretrain.phase]] tables and "
                f'pretrain.preset = "{pretrain.preset}".',
                hint='Use preset = "own" for phases of your own.',
            )
        pretrain = pretrain.model_copy(update={"phase": expand_phases(pretrain, recipe.model)})
    recipe = recipe.model_copy(update={"pretrain": pretrain})
    _check_budget(recipe, where)
    for index, phase in enumerate(pretrain.phase):
        _check_phase(phase, f"pretrain.phase.{index}", recipe, where)
    return recipe


def _check_budget(recipe: Recipe, where: Where) -> None:
    phases, tokens = recipe.pretrain.phase, recipe.pretrain.tokens
    shares = sum(phase.share or 0.0 for phase in phases)
    fixed = sum(phase.tokens or 0 for phase in phases)
    if abs(shares + fixed / tokens - 1) <= NEAR:
        return
    first = next(i for i, phase in enumerate(phases) if fixed == 0 or phase.tokens)
    if not fixed:
        raise UserError(
            f"{where(f'pretrain.phase.{first}.share')}: the shares of the pretraining phases add up to {shares:g}, "
            "not 1."
        )
    raise UserError(
        f"{where(f'pretrain.phase.{first}.tokens')}: the pretraining phases hold {fixed:,} tokens and {shares:g} of "
        f"{tokens:,}: {fixed + shares * tokens:,.0f} in all, not {tokens:,}.",
        hint="Change a phase's tokens or share, or pretrain.tokens.",
    )


def _check_phase(phase: Phase, here: str, recipe: Recipe, where: Where) -> None:
    _check_mix(phase, f"{here}.mix", recipe.curate, where)
    if (phase.context or 0) > recipe.model.context:
        raise UserError(
            f'{where(f"{here}.context")}: phase "{phase.name}" has sequences of {phase.context} tokens; '
            f"model.context is {recipe.model.context}."
        )
    if isinstance(phase.lr, Rate) and phase.lr.shape == "constant" and phase.lr.start != phase.lr.end:
        raise UserError(
            f'{where(f"{here}.lr")}: phase "{phase.name}" has a constant learning rate that goes from '
            f"{phase.lr.start:g} to {phase.lr.end:g}.",
            hint=f'Say lr = {phase.lr.start:g}, or another shape: "linear", "cosine", "1-sqrt".',
        )


def _check_mix(phase: Phase, here: str, curate: Curate, where: Where) -> None:
    if abs(sum(phase.mix.values()) - 1) > NEAR:
        raise UserError(
            f'{where(here)}: the mix of phase "{phase.name}" adds up to {sum(phase.mix.values()):g}, not 1.'
        )
    names = mixable(curate)
    for source, share in phase.mix.items():
        if source not in names:
            raise UserError(
                f'{where(here)}: phase "{phase.name}" mixes in "{source}", which is neither a tier nor a source.',
                hint=did_you_mean(source, [name for name in names if "/" not in name or "/" in source]),
            )
        tier = source.split("/")[0]
        if share and tier in TIERS and tier not in curate.tiers:
            by = "thresholds" if curate.thresholds else "keep"
            raise UserError(
                f'{where(here)}: phase "{phase.name}" mixes in "{source}", but curate.{by} keeps nothing as "{tier}".',
                hint=f"Let curate.{by} name {tier}, or mix in another tier.",
            )


def mixable(curate: Curate) -> list[str]:
    """The names that a mixture may hold: tiers, sources, a tier of a source, and what is added to the text."""
    both = [f"{tier}/{source}" for tier, source in product(TIERS, curate.sources)]
    return [*TIERS, *ADDED, *curate.sources, *both]
