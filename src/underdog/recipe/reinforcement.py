"""The section [reinforce]: the loop, the loss family, shaping, stages and resets."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, field_serializer, field_validator, model_validator

from underdog.recipe.common import (
    Below1,
    Count,
    NotNegative,
    Optimizer,
    Positive,
    Section,
    Share,
    check_names,
    check_shares,
)

BUILT_IN = "built-in"
"""The engine in the trainer's own process."""


class Reset(Section):
    """ProRL: the reference policy becomes the current one, so that learning can go on."""

    every: Annotated[int, Field(ge=0)] = 40
    """Steps between resets; 0 = never by count."""
    on_stall: bool = True
    """Also when validation has not risen since the reset before."""
    on_kl: NotNegative = 0.0
    """Also when the mean KL to the reference passes this, in nats a token; 0 = never by it."""
    optimizer: Literal["clear", "keep"] = "clear"
    """Version 1 of ProRL clears the optimizer's state, version 2 keeps it."""
    rollback: Below1 = 0.5
    """A validation score below this share of the best one is a collapse: the best policy comes back. 0 = never."""


class LengthReward(Section):
    """A reward for short answers that comes and goes (ProRL v2): low + (high - low) (1 + cos(pi t / T)) / 2 for an
    answer of t tokens where T are allowed."""

    high: float = 0.0
    low: float = 0.0
    on: Count = 100
    """Steps that it is paid for, beginning with the stage."""
    off: Annotated[int, Field(ge=0)] = 500
    """Steps without it, after which it comes back."""

    @property
    def used(self) -> bool:
        return bool(self.high or self.low)


class Shaping(Section):
    """What is added to a verifier's reward before advantages are computed. Which groups are informative is decided
    on the rewards without it."""

    overlong: Annotated[int, Field(ge=0)] = 0
    """The last tokens of the limit, over which a penalty grows from 0 to -1 (DAPO's soft overlong punishment)."""
    stop: NotNegative = 0.0
    """Taken from an answer that ran into the limit (ProRL v2's "stop properly")."""
    mask_truncated: bool = False
    """Answers that ran into the limit teach nothing (DAPO's overlong filtering)."""
    length: LengthReward = LengthReward()


class EntropyBonus(Section):
    """Pay for uncertainty, as much as keeps the policy's entropy at a target (Skywork-OR1, arXiv 2505.22312)."""

    target: NotNegative = 0.0
    """Nats a token; 0 switches the bonus off."""
    step: Positive = 1e-3
    """How much its weight moves after each step, up below the target and down above it."""
    most: Positive = 0.05


class Profile(Section):
    """Training problems sorted by how often the policy solves them, before each stage (Scaling Up RL, 2507.12507)."""

    samples: Annotated[int, Field(ge=0)] = 0
    """Answers a problem; 0 = problems are not sorted."""
    low: Share = 0.1
    """Problems solved less often wait for the next stage."""
    high: Share = 0.9
    """Problems solved more often retire."""
    review: Share = 0.05
    """Of what is handed out, the share of retired problems."""


class PolicyLoss(Section):
    """Which member of the policy-gradient family is minimised (train/policy.py has the formulas)."""

    advantage: Literal["group", "centred", "batch"] = "group"
    """`group`: (R - mean) / std of the group (GRPO). `centred`: R - mean (Dr. GRPO). `batch`: R - mean of the
    group, then by mean and std of the whole step (REINFORCE++-baseline, ProRL v2)."""
    ratio: Literal["token", "sequence"] = "token"
    """`sequence`: the geometric mean over an answer (GSPO)."""
    surrogate: Literal["clip", "cispo"] = "clip"
    average: Literal["token", "sequence", "constant"] = "token"
    """`token`: all tokens of the step count alike (DAPO). `sequence`: all answers do (GRPO). `constant`: sums over
    answers, divided by max_new_tokens (Dr. GRPO)."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    sampler_correction: Annotated[list[NotNegative], Field(min_length=2, max_length=2)] | None = None
    """Bounds of the weight trainer / sampler that a token gets (truncated importance sampling), for samplers that
    are not this process's own. It costs one more forward pass."""


class ReinforceStage(Section):
    """A part of a reinforcement run with settings of its own. What it does not name is as in [reinforce]."""

    name: str
    share: Share
    """Of `reinforce.steps`; with the other stages it makes 1."""
    prompts: Count | None = None
    rollouts: Annotated[int, Field(ge=2)] | None = None
    minibatches: Count | None = None
    lr: Positive | None = None
    temperature: Positive | None = None
    max_new_tokens: Count | None = None
    mix: dict[str, Share] | None = None
    clip: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    kl: NotNegative | None = None
    dynamic_sampling: bool | None = None
    loss: PolicyLoss | None = None
    shaping: Shaping | None = None

    @field_serializer("loss", "shaping")
    def _only_what_is_named(self, given: Section | None) -> dict[str, Any] | None:
        """Defaults that were written out would hide what [reinforce] says."""
        return given and given.model_dump(exclude_unset=True)


class Reinforce(Section):
    """Prolonged reinforcement learning with verified rewards (ProRL, arXiv 2505.24864)."""

    steps: Annotated[int, Field(ge=0)] = 100
    """Rollout steps; 0 leaves the SFT model as it is."""
    prompts: Count = 32
    """Groups a step."""
    rollouts: Annotated[int, Field(ge=2)] = 8
    """Answers a group."""
    minibatches: Count = 2
    """Updates a step: the rollouts are split into as many parts."""
    lr: Positive = 1e-4
    temperature: Positive = 1.0
    max_new_tokens: Count = 128
    mix: dict[str, Share] = {}
    """Shares of the problems by domain ("mathematics"), or by domain and task ("logic/countdown"); together they make
    1. Empty: every problem as often as any other."""
    engine: str = BUILT_IN
    """What samples the answers: "built-in"; "vllm", started from the environment that `make vllm` makes; or the URL of
    a vLLM server (docs/reinforcement.md)."""
    clip: Annotated[list[Positive], Field(min_length=2, max_length=2)] = [0.2, 0.28]
    """Lower and upper distance of the ratio from 1 (decoupled clipping)."""
    kl: NotNegative = 1e-4
    """Weight of the KL penalty to the reference policy; 0 switches it and its forward pass off."""
    dynamic_sampling: bool = True
    """Groups whose answers all earn the same are dropped and replaced by others."""
    profile: Profile = Profile()
    loss: PolicyLoss = PolicyLoss()
    shaping: Shaping = Shaping()
    entropy: EntropyBonus = EntropyBonus()
    stage: list[ReinforceStage] = []
    """One run, several stages: context, temperature, clipping, penalties change on the exact step."""
    reset: Reset = Reset()
    validate_every: Count = 20
    """Steps between looks at the validation problems."""
    optimizer: Optimizer = Optimizer(weight_decay=0.0)

    @field_validator("engine")
    @classmethod
    def _names_an_engine(cls, engine: str) -> str:
        if engine not in (BUILT_IN, "vllm") and not engine.startswith(("http://", "https://")):
            raise ValueError(f'"{engine}" is neither "built-in" nor "vllm" nor a URL')
        return engine

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Reinforce":
        check_shares("mix", self.mix.values())
        for stage in self.stage:
            check_shares(f'mix of stage "{stage.name}"', (stage.mix or {}).values())
        check_shares("stage", [stage.share for stage in self.stage])
        check_names("stage", [stage.name for stage in self.stage])
        return self

    @model_validator(mode="after")
    def _penalties_fit(self) -> "Reinforce":
        for where, given in [("", self), *((f'stage "{one.name}": ', self.of_stage(one)) for one in self.stage)]:
            if given.shaping.overlong > given.max_new_tokens:
                raise ValueError(
                    f"{where}shaping.overlong, {given.shaping.overlong} tokens, is more than an answer may have, "
                    f"{given.max_new_tokens}"
                )
        return self

    def of_stage(self, stage: ReinforceStage) -> "Reinforce":
        """What holds in a stage: what it names over the rest, in its tables too."""
        return _over(self, stage)


S = TypeVar("S", bound=Section)


def _over(base: S, change: Section) -> S:
    """The settings that `change` names, laid over those of the same name in `base`."""
    named = {name: getattr(change, name) for name in type(base).model_fields if name in change.model_fields_set}
    update = {
        name: _over(getattr(base, name), value) if isinstance(value, Section) else value
        for name, value in named.items()
        if value is not None
    }
    return base.model_copy(update=update)
