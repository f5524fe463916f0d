"""Ablate: what a trick is worth, by runs with it and without it that differ in nothing else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.recipe.load import Resolved, parse_override, replaced
from underdog.stages.order import last_evaluation
from underdog.stages.pipeline import Reporter, Run, check_stage, run_recipe

# Two-sided 95 % quantiles of Student's t by degrees of freedom; beyond 30 the normal one is close enough.
_STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
STUDENT = dict(enumerate(_STUDENT, start=1))
NORMAL = 1.96


@dataclass(frozen=True)
class Switch:
    """A trick: what turns it on and off, and the arms' figures to compare."""

    name: str
    help: str
    on: Mapping[str, Any]
    off: Mapping[str, Any]
    until: str = ""
    """The stage that an arm ends with and is judged by; empty: its last evaluation."""
    off_until: str = ""
    """The same of the off arm, where it is another one."""


SWITCHES = {
    switch.name: switch
    for switch in (
        Switch(
            "fg_wsd",
            "FG-WSD's mixtures against the same tokens in one fixed mixture (WSD)",
            {"pretrain.preset": "fg-wsd"},
            {"pretrain.preset": "wsd"},
            "pretrain",
        ),
        Switch(
            "reinforce",
            "reinforcement against the same time of more SFT",
            {},
            {},
            "evaluate-reinforce",
            "evaluate-control",
        ),
        Switch(
            "reinforce_over_sft",
            "reinforcement against the SFT that it starts from",
            {},
            {},
            "evaluate-reinforce",
            "evaluate-sft",
        ),
        Switch(
            "reasoning",
            "SFT on worked reasoning against SFT on the answers alone",
            {"sft.reasoning": True},
            {"sft.reasoning": False},
            "evaluate-sft",
        ),
        Switch(
            "distill",
            "distillation against the SFT that it starts from",
            {},
            {},
            "evaluate-distill",
            "evaluate-sft",
        ),
        Switch(
            "distill_over_sft",
            "distillation against the same time of more SFT",
            {"reinforce.steps": 0},
            {"reinforce.steps": 0},
            "evaluate-distill",
            "evaluate-control",
        ),
        Switch(
            "distill_over_reinforce",
            "on-policy distillation from a reinforced teacher against reinforcement of the student",
            {"distill.method": "on-policy"},
            {"distill.steps": 0},
            "evaluate-distill",
            "evaluate-reinforce",
        ),
        Switch(
            "dpd_over_dpo",
            "dual preference distillation against DPO on the same pairs",
            {"distill.method": "dpd"},
            {"distill.method": "dpd", "distill.positive": 0.0, "distill.negative": 0.0},
            "evaluate-distill",
        ),
        Switch(
            "dpd_over_distillation",
            "dual preference distillation against distillation on the same answers",
            {"distill.method": "dpd"},
            {"distill.method": "dpd", "distill.preference": 0.0},
            "evaluate-distill",
        ),
        Switch(
            "dynamic_sampling",
            "dropping groups of equal reward",
            {},
            {"reinforce.dynamic_sampling": False},
            "evaluate-reinforce",
        ),
        Switch(
            "clip_higher",
            "the upper clip wider than the lower",
            {},
            {"reinforce.clip": [0.2, 0.2]},
            "evaluate-reinforce",
        ),
        Switch("kl", "the KL penalty to the reference policy", {}, {"reinforce.kl": 0.0}, "evaluate-reinforce"),
        Switch(
            "reset",
            "resets of the reference policy",
            {},
            {"reinforce.reset.every": 0, "reinforce.reset.on_stall": False},
            "evaluate-reinforce",
        ),
        Switch(
            "temperature",
            "sampling at the recipe's temperature against 0.6",
            {},
            {"reinforce.temperature": 0.6},
            "evaluate-reinforce",
        ),
        Switch(
            "token_average",
            "all tokens of a step counting alike (DAPO) against all answers (GRPO)",
            {"reinforce.loss.average": "token"},
            {"reinforce.loss.average": "sequence"},
            "evaluate-reinforce",
        ),
        Switch(
            "batch_advantage",
            "advantages normalised over the step (REINFORCE++, ProRL v2) against over the group",
            {"reinforce.loss.advantage": "batch"},
            {"reinforce.loss.advantage": "group"},
            "evaluate-reinforce",
        ),
        Switch(
            "cispo",
            "CISPO's surrogate against clipping",
            {"reinforce.loss.surrogate": "cispo"},
            {"reinforce.loss.surrogate": "clip"},
            "evaluate-reinforce",
        ),
        Switch(
            "sequence_ratio",
            "one ratio an answer (GSPO) against one a token",
            {"reinforce.loss.ratio": "sequence"},
            {"reinforce.loss.ratio": "token"},
            "evaluate-reinforce",
        ),
        Switch(
            "keep_optimizer",
            "resets that keep the optimizer's state (ProRL v2) against resets that clear it (v1)",
            {"reinforce.reset.optimizer": "keep"},
            {"reinforce.reset.optimizer": "clear"},
            "evaluate-reinforce",
        ),
        Switch(
            "entropy_bonus",
            "a bonus that holds the entropy at 0.2 nats a token",
            {"reinforce.entropy.target": 0.2},
            {},
            "evaluate-reinforce",
        ),
        Switch(
            "overlong",
            "a penalty that grows over the last 24 tokens of the limit (DAPO)",
            {"reinforce.shaping.overlong": 24},
            {},
            "evaluate-reinforce",
        ),
        Switch(
            "length_reward",
            "a reward for short answers, on for 10 steps and off for 10 (ProRL v2)",
            {"reinforce.shaping.length": {"high": 0.2, "on": 10, "off": 10}},
            {},
            "evaluate-reinforce",
        ),
        Switch(
            "profile",
            "problems that are solved in 10 to 90 % of 8 answers against all problems",
            {"reinforce.profile.samples": 8},
            {},
            "evaluate-reinforce",
        ),
        Switch("qk_norm", "RMSNorm over queries and keys", {"model.family": "qwen3"}, {"model.family": "llama"}),
    )
}


def find_switch(text: str) -> Switch:
    """A named switch, or "section.key=value" as the off state of one made on the spot."""
    if text in SWITCHES:
        return SWITCHES[text]
    if "=" in text:
        key, value = parse_override(text)
        return Switch(text, f"the recipe as it is (on) against {text} (off)", {}, {key: value})
    raise UserError(f'There is no switch "{text}".', hint=did_you_mean(text, SWITCHES) + " Or: section.key=value.")


@dataclass(frozen=True)
class Difference:
    """A figure with the switch off and on, seed by seed."""

    name: str
    percent: bool
    off: list[float]
    on: list[float]

    @property
    def mean(self) -> float:
        return mean(self._paired)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the paired difference (Student's t over seeds); None for a single seed."""
        n = len(self._paired)
        if n < 2:
            return None
        half = STUDENT.get(n - 1, NORMAL) * stdev(self._paired) / math.sqrt(n)
        return self.mean - half, self.mean + half

    @property
    def _paired(self) -> list[float]:
        return [b - a for a, b in zip(self.off, self.on, strict=True)]


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
    folders: list[Path] = []
    for changes, end in arms.values():
        recipe = replaced(resolved, changes).recipe
        check_stage(recipe, end or last_evaluation(recipe))
    first = resolved.recipe.seed
    for seed in range(first, first + seeds):
        for arm, (changes, end) in arms.items():
            recipe = replaced(resolved, {**changes, "seed": seed}).recipe
            run = run_recipe(recipe, root, reporter, end or last_evaluation(recipe))
            figures[arm].append(_figures(run, end.removeprefix("evaluate-")))
            folders.append(run.folder)
    names = [name for name in figures["on"][0] if name in figures["off"][0]]
    differences = [
        Difference(
            name,
            not name.startswith((HELD_OUT, SECONDS)),
            *([one[name] for one in figures[arm]] for arm in ("off", "on")),
        )
        for name in names
    ]
    return Ablation(switch, seeds, differences, folders)


HELD_OUT = "held-out loss"
SECONDS = "seconds of its stage"


def _figures(run: Run, stage: str) -> dict[str, float]:
    """What an arm is judged by: the accuracy after `stage` or else of its last model, the pretrained one's figures
    where that is what the run is about, and how long the stage took."""
    stage = stage if stage in run.artifacts else run.last
    found = {}
    if "pretrain" in run.artifacts and stage in ("pretrain", "sft"):
        found |= _of_pretraining(run.artifacts["pretrain"].metrics)
    if result := run.artifacts.get(f"evaluate-{stage}"):
        found |= {f"pass@1 {how}": result.metrics[how]["mean"] for how in ("sampled", "greedy")}
    return {**found, SECONDS: run.artifacts[stage].seconds}


def _of_pretraining(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Held-out loss on good text, then by tier; and how often the model knows how a held-out text goes on."""
    found = {HELD_OUT: list(metrics["held_out_loss"].values())[-1]}
    by_tier = list(metrics["held_out_by_tier"].values())[-1]
    found |= {f"{HELD_OUT}, {tier}": loss for tier, loss in by_tier.items()}
    if metrics["continuations"]["texts"]:
        found["continuations found (chance 25 %)"] = metrics["continuations"]["accuracy"]
    return found
