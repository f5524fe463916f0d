"""Ablate: what a trick is worth, by runs with it and without it that differ in nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from underdog.artifacts.samples import accuracies, read_samples
from underdog.errors import UserError
from underdog.recipe.load import Resolved, replaced
from underdog.stages.difference import Difference, gains
from underdog.stages.order import last_evaluation
from underdog.stages.pipeline import Reporter, Run, check_stage, run_recipe
from underdog.stages.switches import Switch

HELD_OUT = "held-out loss"
SECONDS = "seconds of its stage"
PASS = {"sampled": "pass@1 sampled", "greedy": "pass@1 greedy"}


@dataclass(frozen=True)
class Ablation:
    switch: Switch
    seeds: int
    differences: list[Difference]
    runs: list[Path]


def ablate(
    resolved: Resolved, switch: Switch, seeds: int, root: Path, reporter: Reporter, until: str | None = None
) -> Ablation:
    """Runs both arms with the same seeds, up to the switch's own stage or `until`; what they share is made once."""
    arms = {"off": (switch.off, switch.off_until or until or switch.until), "on": (switch.on, until or switch.until)}
    figures: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
    looks: dict[str, list[dict[str, dict[str, float]]]] = {"off": [], "on": []}
    folders: list[Path] = []
    told = []
    for changes, end in arms.values():
        recipe = replaced(resolved, changes).recipe
        check_stage(recipe, end or last_evaluation(recipe))
        told.append((recipe, end))
    if told[0] == told[1]:
        raise UserError(
            f'With this recipe "{switch.name}" makes no difference: both arms would be the same run.',
            hint="Turn on in the recipe what the switch turns off.",
        )
    first = resolved.recipe.seed
    for seed in range(first, first + seeds):
        for arm, (changes, end) in arms.items():
            recipe = replaced(resolved, {**changes, "seed": seed}).recipe
            run = run_recipe(recipe, root, reporter, end or last_evaluation(recipe))
            stage = _judged_by(run, end.removeprefix("evaluate-"))
            figures[arm].append(_figures(run, stage))
            looks[arm].append(_by_problem(run, stage))
            folders.append(run.folder)
    names = [name for name in figures["on"][0] if name in figures["off"][0]]
    differences = [
        Difference(
            name,
            not name.startswith((HELD_OUT, SECONDS)),
            *([one[name] for one in figures[arm]] for arm in ("off", "on")),
            gains(*([one.get(name, {}) for one in looks[arm]] for arm in ("off", "on"))),
        )
        for name in names
    ]
    return Ablation(switch, seeds, differences, folders)


def _judged_by(run: Run, stage: str) -> str:
    """The stage, or else the one that made the run's last model."""
    return stage if stage in run.artifacts else run.last


def _figures(run: Run, stage: str) -> dict[str, float]:
    """What an arm is judged by: the accuracy after `stage`, the pretrained model's figures where that is what the run
    is about, and how long the stage took."""
    found = {}
    if "pretrain" in run.artifacts and stage in ("pretrain", "sft"):
        found |= _of_pretraining(run.artifacts["pretrain"].metrics)
    if result := run.artifacts.get(f"evaluate-{stage}"):
        found |= {PASS[how]: result.metrics[how]["mean"] for how in PASS}
    return {**found, SECONDS: run.artifacts[stage].seconds}


def _by_problem(run: Run, stage: str) -> dict[str, dict[str, float]]:
    """The accuracies once more, for each test problem."""
    result = run.artifacts.get(f"evaluate-{stage}")
    records = read_samples(result) if result else {}
    return {PASS[how]: accuracies(records, how) for how in PASS}


def _of_pretraining(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Held-out loss on good text, then by tier; and how often the model knows how a held-out text goes on."""
    found = {HELD_OUT: list(metrics["held_out_loss"].values())[-1]}
    by_tier = list(metrics["held_out_by_tier"].values())[-1]
    found |= {f"{HELD_OUT}, {tier}": loss for tier, loss in by_tier.items()}
    if metrics["continuations"]["texts"]:
        found["continuations found (chance 25 %)"] = metrics["continuations"]["accuracy"]
    return found
