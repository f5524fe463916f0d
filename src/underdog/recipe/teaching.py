"""The sections [sft] and [distill]: what is learned from conversations, and from a teacher's probabilities."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from underdog.recipe.common import Count, NotNegative, Optimizer, Positive, Section, Share, check_shares

OURS = ("demonstrations", "train")
"""What `sft.data` names beside files: worked problems, and the training problems with their answers alone."""


class SftStage(Section):
    """A stretch of SFT that takes rows up to a length (Nanbeige4.1: 32K, then 64K, then 256K)."""

    share: Share
    """Of the steps; with the other stages it makes 1."""
    context: Count
    """Longest row in tokens."""


Precision = Literal["float32", "bf16", "nf4", "int4"]


class Adapter(Section):
    """Small trained matrices beside frozen ones, merged into them at the end."""

    kind: Literal["none", "lora", "dora"] = "none"
    """`none` trains every weight."""
    rank: Count = 16
    alpha: Positive = 32.0
    """The change is multiplied by alpha / rank."""
    targets: list[str] = []
    """Names of matrices ("q_proj", "down_proj"); empty: all inside the blocks."""
    precision: Precision = "float32"
    """Of the frozen matrices. `bf16` takes half the memory and multiplies in bfloat16, which machines with units for it
    do many times faster (`underdog doctor` measures); four bits a weight take an eighth of the memory (QLoRA)."""


class Sft(Section):
    steps: Count = 400
    batch_tokens: Count = 4096
    lr: Positive = 1e-3
    warmup: Share = 0.05
    data: Annotated[list[str], Field(min_length=1)] = ["demonstrations"]
    """Files of conversations (docs/teaching.md); "demonstrations" are the problems' own, "train" the training problems
    with their answers alone. [refine] and [reconstruct] work on them first."""
    budget: dict[str, Share] = {}
    """Shares of the tokens by domain; all together make 1. A row's domain is its "domain", else its file's name. Empty:
    every row as often as any other."""
    stage: list[SftStage] = []
    """Rows by length, short ones first; empty: all that fit into the model's context, from the start."""
    keep_all_think: bool = False
    """Reasoning of earlier turns stays in the context, as the sampler must then be told too."""
    reasoning: bool = True
    """Off: answers alone are taught."""
    neftune: NotNegative = 0.0
    """Noise on the embeddings (NEFTune, arXiv 2310.05914: 5 to 15); 0 = off."""
    adapter: Adapter = Adapter()
    optimizer: Optimizer = Optimizer(kind="muon", weight_decay=0.0)

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Sft":
        check_shares("budget", self.budget.values())
        check_shares("stage", [one.share for one in self.stage])
        return self


class Distill(Section):
    """A student learns a teacher's probabilities, token by token, on the training problems (docs/teaching.md)."""

    steps: Annotated[int, Field(ge=0)] = 0
    """0 leaves the stage out."""
    teacher: str = ""
    """A checkpoint folder or a run, of the student's tokenizer."""
    method: Literal["on-policy", "off-policy", "dpd"] = "on-policy"
    """What is learned from: the student's own answers; the teacher's right ones; pairs of both (dual preference
    distillation)."""
    divergence: Literal["forward", "reverse", "jsd"] = "reverse"
    """KL(teacher || student), KL(student || teacher), or the generalised Jensen-Shannon divergence between them."""
    jsd_beta: Share = 0.5
    top_k: Annotated[int, Field(ge=0)] = 64
    """Tokens that the teacher names at each place; the rest is one more outcome. 0 = all of them."""
    prompts: Count = 32
    """On-policy: problems a step."""
    batch_tokens: Count = 4096
    """Off-policy and DPD: tokens a step."""
    problems: Annotated[int, Field(ge=0)] = 0
    """Off-policy and DPD: training problems that are answered beforehand; 0 = all."""
    samples: Count = 4
    """Off-policy and DPD: answers a problem."""
    cached: bool = True
    """Off-policy and DPD: the teacher is asked once, and read from the disk in later epochs."""
    temperature: Positive = 1.0
    """Of the answers."""
    max_new_tokens: Count = 128
    lr: Positive = 3e-4
    warmup: Share = 0.05
    margin: Share = 0.5
    """DPD: how much more a positive must earn than its negative."""
    dpo_beta: Positive = 0.1
    preference: NotNegative = 1.0
    """DPD: weight of the DPO term; `positive` and `negative` are those of distillation on either answer."""
    positive: NotNegative = 1.0
    negative: NotNegative = 1.0
    optimizer: Optimizer = Optimizer(weight_decay=0.0)

    @model_validator(mode="after")
    def _has_a_teacher(self) -> "Distill":
        if self.steps and not self.teacher:
            raise ValueError("distillation needs a teacher: a checkpoint folder or a run")
        if "://" in self.teacher:
            raise ValueError("a server does not tell what it thinks of given tokens: let it answer ([refine])")
        if self.method == "dpd" and not self.preference + self.positive + self.negative:
            raise ValueError("preference, positive and negative are all 0: nothing would be learned")
        return self
