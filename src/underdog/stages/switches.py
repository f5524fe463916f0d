"""The tricks that `underdog ablate` can turn on and off, each by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.recipe.load import parse_override


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
            "refine",
            "SFT on answers that teachers refined against the answers as they came",
            {},
            {"refine.teachers": [], "refine.evaluators": []},
            "evaluate-sft",
        ),
        Switch(
            "reconstruct",
            "SFT on answers with reconstructed reasoning against the answers as they came",
            {},
            {"reconstruct.teacher": "", "reconstruct.judge": ""},
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
            {"reinforce.reset.every": 0, "reinforce.reset.on_stall": False, "reinforce.reset.on_kl": 0.0},
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
