"""The typed recipe: one section a stage, in the order in which they run.

A recipe is strict: an unknown key or a wrong type is an error. Every field has a default, so a recipe file holds
only what it wants to say.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Below1 = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Model(Section):
    """The decoder's shape (Llama layout)."""

    family: Literal["llama", "qwen3"] = "qwen3"
    """`qwen3` is the Llama layout with QK-norm: an RMSNorm over each head's queries and keys."""
    width: Count = 192
    layers: Count = 5
    heads: Count = 6
    kv_heads: Count = 2
    head_width: Count = 32
    ffn: Count = 512
    context: Count = 512
    """Longest sequence in tokens: the model's `max_position_embeddings`."""
    rope_base: Positive = 10_000.0
    norm_eps: Positive = 1e-6
    tied: bool = True
    """The output head shares the embedding's weights."""

    @model_validator(mode="after")
    def _heads_fit(self) -> "Model":
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.head_width % 2:
            raise ValueError(f"head_width ({self.head_width}) must be even: rotary positions turn pairs")
        return self


class Problems(Section):
    """Verified problems: where they come from and how they are split."""

    tasks: list[str] = ["chain_sum", "simple_equations", "countdown", "number_sorting"]
    """Tasks of reasoning-gym that this project has solvers for."""
    files: list[str] = []
    """The user's own problems, JSON lines (docs/problems.md)."""
    demonstrations: Count = 3000
    """Problems with worked reasoning, for SFT. Scarce on purpose: see docs/demo.md."""
    train: Count = 8000
    """Problems without reasoning, for reinforcement."""
    validation: Count = 300
    test: Count = 600
    seed: int = 1


class Curate(Section):
    """Which text is kept, and in which tier (Nanbeige4-3B, section Data)."""

    sources: list[str] = ["python-docs", "package-docs", "python-rest"]
    """Named corpora, or the user's folders, globs and files."""
    signals: dict[str, float] = {}
    """Weights over the defaults, by signal; 0 switches a signal off."""
    keep: dict[str, float] = {"medium": 0.3, "high": 0.25, "top": 0.15}
    """Share of the corpus (by characters) that each tier takes, from the best score downward."""
    near_duplicates: Share = 0.7
    """Jaccard similarity above which two documents are the same; 0 switches the search off."""
    decontaminate: Share = 0.5
    """Share of a held-out problem that a document may contain; 0 switches the search off."""
    minimum_characters: Count = 200


class Tokenizer(Section):
    vocabulary: Annotated[int, Field(ge=300)] = 4096
    splitter: Literal["qwen2", "llama-bpe", "gpt-2"] = "qwen2"
    """Pre-tokenizer pattern, by the name that llama.cpp knows it by."""


class Rate(Section):
    """A learning rate that moves from one value to another over its phase."""

    model_config = ConfigDict(populate_by_name=True)
    start: NotNegative = Field(alias="from")
    end: NotNegative = Field(alias="to")
    shape: Literal["linear", "cosine", "1-sqrt"] = "linear"


class Phase(Section):
    """A stretch of pretraining that owns its mixture AND its learning rate (FG-WSD)."""

    name: str
    share: Share
    """Share of `pretrain.tokens`; the shares of all phases add up to 1."""
    lr: NotNegative | Rate
    mix: dict[str, Share]
    """Shares of the tokens by tier; `demonstrations` is a source too."""
    context: Count | None = None
    """Sequence length in tokens; the model's context unless said."""
    rope_base: Positive | None = None
    """Rotary base from here on (ABF: a longer context wants a larger base)."""


class Optimizer(Section):
    kind: Literal["adamw", "muon"] = "adamw"
    """`muon` updates the matrices inside the blocks by orthogonalised momentum, the rest by AdamW."""
    beta1: Below1 = 0.9
    beta2: Below1 = 0.95
    """AdamW's second-moment decay; Muon's momentum."""
    weight_decay: NotNegative = 0.1
    clip: Positive = 1.0
    """Largest global norm of the gradient."""


class Pretrain(Section):
    preset: Literal["fg-wsd", "wsd", "cosine", "own"] = "fg-wsd"
    """Where the phases come from: a published schedule, or `[[pretrain.phase]]` tables of your own."""
    tokens: Count = 3_000_000
    peak_lr: Positive = 3e-3
    batch_tokens: Count = 4096
    epochs: Positive = 8.0
    """Most passes over any tier; a plan that needs more is refused before it starts."""
    phase: list[Phase] = []
    optimizer: Optimizer = Optimizer(kind="muon")


class Sft(Section):
    steps: Count = 400
    batch_tokens: Count = 4096
    lr: Positive = 1e-3
    warmup: Share = 0.05
    optimizer: Optimizer = Optimizer(kind="muon", weight_decay=0.0)


class Reset(Section):
    """ProRL: the reference policy becomes the current one, so that learning can go on."""

    every: Annotated[int, Field(ge=0)] = 40
    """Updates between resets; 0 = never by count."""
    on_stall: bool = True
    """Also when validation has not risen since the reset before."""
    optimizer: Literal["clear", "keep"] = "clear"
    """Version 1 of ProRL clears the optimizer's state, version 2 keeps it."""


class Reinforce(Section):
    """GRPO with ProRL's settings (facts: arXiv 2505.24864) under DAPO's token normalisation."""

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
    clip: Annotated[list[Positive], Field(min_length=2, max_length=2)] = [0.2, 0.28]
    """Lower and upper distance of the ratio from 1 (decoupled clipping)."""
    kl: NotNegative = 1e-4
    """Weight of the KL penalty to the reference policy; 0 switches it and its forward pass off."""
    dynamic_sampling: bool = True
    """Groups whose answers all earn the same are dropped and replaced by others."""
    reset: Reset = Reset()
    validate_every: Count = 20
    """Steps between looks at the validation problems."""
    optimizer: Optimizer = Optimizer(weight_decay=0.0)


class Control(Section):
    """The comparison that reinforcement must win: the same time spent on more SFT."""

    enabled: bool = True


class Evaluate(Section):
    samples: Count = 8
    """Answers a problem at temperature 1; pass@1 is their mean."""
    max_new_tokens: Count = 128


class Export(Section):
    formats: list[Literal["f32", "f16", "q8_0"]] = ["f32", "q8_0"]
    """GGUF files beside the Hugging Face folder."""


class Recipe(Section):
    """From raw text to a served model."""

    name: str = "model"
    """The run's folder is called by it."""
    seed: int = 1
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads; 0 = all cores. Results are bit-identical only at the same number of threads."""
    model: Model = Model()
    problems: Problems = Problems()
    curate: Curate = Curate()
    tokenizer: Tokenizer = Tokenizer()
    pretrain: Pretrain = Pretrain()
    sft: Sft = Sft()
    reinforce: Reinforce = Reinforce()
    control: Control = Control()
    evaluate: Evaluate = Evaluate()
    export: Export = Export()

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not name.isprintable() or not name or set(name) & set("/\\"):
            raise ValueError("must be fit for a folder's name: something printable without slashes")
        return name
