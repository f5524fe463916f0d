"""Settings that were given and change nothing, because another one turns off what they are for."""

from collections.abc import Iterable, Iterator

from underdog.recipe.schema import Recipe
from underdog.recipe.synthesis import OWN
from underdog.recipe.tables import Origins, origin

Rule = tuple[str, bool, str]  # the beginning of the keys, whether they are idle, and why

_PREPARED = ("off-policy", "dpd")
_OF_METHODS = {
    **dict.fromkeys(("prompts",), ("on-policy",)),
    **dict.fromkeys(("batch_tokens", "problems", "samples", "cached"), _PREPARED),
    **dict.fromkeys(("margin", "dpo_beta", "preference", "positive", "negative"), ("dpd",)),
}
_SWITCHES = ("refine.teachers", "reconstruct.teacher", "reinforce.steps", "distill.steps", "sft.adapter.kind")
"""What turns a stage off is no setting without effect."""
_BEFORE_SFT = ("model", "curate", "tokenizer", "pretrain")
NAMED = 4  # of several idle settings


def idle_settings(recipe: Recipe, given: Iterable[str], origins: Origins) -> Iterator[str]:
    """A sentence for the idle ones of the `given` dotted keys, by what makes them idle."""
    left = [key for key in given if key not in _SWITCHES]
    for prefix, idle, why in _rules(recipe):
        keys = [key for key in left if idle and key.startswith(prefix)]
        left = [key for key in left if key not in keys]
        if keys:
            verb = "has" if len(keys) == 1 else "have"
            yield f"{_listed(keys, prefix)} ({origin(keys[0], origins)}) {verb} no effect: {why}."


def _listed(keys: list[str], prefix: str) -> str:
    if len(keys) == 1:
        return keys[0]
    names = ", ".join(key.removeprefix(prefix) for key in keys[:NAMED])
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return f"[{prefix.rstrip('.')}] {names}{more}"


def _rules(recipe: Recipe) -> Iterator[Rule]:
    for name in _BEFORE_SFT:
        yield f"{name}.", bool(recipe.base), "the run starts from base"
    own_phases = recipe.pretrain.preset == "own"
    yield "pretrain.peak_lr", own_phases, 'the phases of preset "own" hold their own rates'
    yield "sft.adapter.", recipe.sft.adapter.kind == "none", "sft.adapter.kind is none"
    trains_on = recipe.reinforce.steps or recipe.distill.steps
    yield "control.", not trains_on, "there is neither reinforcement nor distillation to compare with"
    yield from _of_synthesis(recipe)
    yield from _of_distillation(recipe)
    yield from _of_reinforcement(recipe)


def _of_synthesis(recipe: Recipe) -> Iterator[Rule]:
    reconstruct = recipe.reconstruct
    yield "refine.", not recipe.refine.teachers, "refine.teachers is empty"
    yield "reconstruct.", not reconstruct.teacher, "reconstruct.teacher is empty"
    yield "reconstruct.own.", OWN not in reconstruct.models, f'neither teacher nor judge is "{OWN}"'
    yield "reconstruct.summary", reconstruct.teacher == OWN, f'the teacher is "{OWN}"'


def _of_distillation(recipe: Recipe) -> Iterator[Rule]:
    distill = recipe.distill
    yield "distill.", distill.steps == 0, "distill.steps is 0"
    for key, methods in _OF_METHODS.items():
        yield f"distill.{key}", distill.method not in methods, f"the method is {distill.method}"
    yield "distill.jsd_beta", distill.divergence != "jsd", f"the divergence is {distill.divergence}"


def _of_reinforcement(recipe: Recipe) -> Iterator[Rule]:
    reinforce, reset = recipe.reinforce, recipe.reinforce.reset
    yield "reinforce.", reinforce.steps == 0, "reinforce.steps is 0"
    yield "reinforce.entropy.", reinforce.entropy.target == 0, "reinforce.entropy.target is 0"
    yield "reinforce.profile.", reinforce.profile.samples == 0, "reinforce.profile.samples is 0"
    compares = reinforce.kl or any(stage.kl for stage in reinforce.stage)
    yield "reinforce.loss.kl_estimator", not compares, "reinforce.kl is 0"
    yield "reinforce.reset.on_kl", not compares, "reinforce.kl is 0, and no KL is computed"
    yield "reinforce.reset.optimizer", not (reset.every or reset.on_stall or reset.on_kl), "resets are off"
