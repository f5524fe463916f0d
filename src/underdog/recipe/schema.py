"""The typed recipe: one section a stage, in the order in which they run.

A recipe is strict: an unknown key or a wrong type is an error. Every field has a default, so a recipe file holds
only what it wants to say.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from underdog.recipe.common import Below1, Count, NotNegative, Optimizer, Positive, Section, Share, check_names
from underdog.recipe.reinforcement import Reinforce
from underdog.recipe.synthesis import Reconstruct, Refine
from underdog.recipe.teaching import Distill, Sft

Tier = Literal["top", "high", "medium"]
TIERS: tuple[Tier, ...] = get_args(Tier)
"""Of the curated text, best first."""
GOOD: tuple[Tier, ...] = ("high", "top")
"""Tiers of the text that the main held-out loss is on."""
ADDED = ("arithmetic", "demonstrations")
"""What a phase can mix in beside curated text: tables of elementary facts, and the worked problems as chats."""


class Model(Section):
    """The decoder's shape (Llama layout)."""

    family: Literal["llama", "qwen2", "qwen3"] = "qwen3"
    """`qwen2` is the Llama layout with biases on queries, keys and values; `qwen3` has QK-norm instead, an RMSNorm
    over each head's queries and keys."""
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
    """Tasks of reasoning-gym. Demonstrations come from those that this project has solvers for (docs/problems.md)."""
    difficulty: dict[str, dict[str, Any]] = {}
    """By task: its own settings there, or a step of its curriculum: { sudoku = { level = 1 } }."""
    files: list[str] = []
    """The user's own problems, and published sets as they come (docs/problems.md)."""
    sandbox: str = "auto"
    """Where code that the model wrote runs: "auto" takes this machine's strongest isolation and refuses where there is
    none, "weak" then runs it with limits only; or the URL of another machine's `underdog sandbox`."""
    demonstrations: Count = 3000
    """Problems with worked reasoning, for SFT. Scarce on purpose: see docs/demo.md."""
    train: Count = 8000
    """Problems without reasoning, for reinforcement."""
    validation: Count = 300
    test: Count = 600
    seed: int = 1

    @field_validator("sandbox")
    @classmethod
    def _names_a_sandbox(cls, sandbox: str) -> str:
        if sandbox not in ("auto", "weak") and not sandbox.startswith(("http://", "https://")):
            raise ValueError(f'"{sandbox}" is neither "auto" nor "weak" nor a URL')
        return sandbox


class Curate(Section):
    """Which text is kept, and in which tier (Nanbeige4-3B, section Data)."""

    sources: list[str] = ["python-docs", "package-docs", "python-rest"]
    """Named corpora, or the user's folders, globs, files and manifests (docs/curation.md)."""
    signals: dict[str, float] = {}
    """Weights over the defaults, by signal; 0 switches a signal off."""
    keep: dict[str, float] = {"medium": 0.3, "high": 0.25, "top": 0.15}
    """Share of the corpus (by characters) that each tier takes, from the best score downward."""
    near_duplicates: Share = 0.7
    """Jaccard similarity above which two documents are the same; 0 switches the search off."""
    decontaminate: Share = 0.5
    """Share of a held-out problem that a document may contain; 0 switches the search off."""
    minimum_characters: Count = 200
    repeated_paragraphs: Annotated[int, Field(ge=0)] = 10
    """A paragraph that more documents have goes from all but the first of them; 0 switches the search off."""
    repeated_lines: Annotated[int, Field(ge=0)] = 0
    """The same for single lines. For web pages; code would lose its imports."""
    text_field: str = "text"
    """Where records (JSON Lines, Parquet) have their text."""
    rules: list[str] = []
    """Published rules that a document must keep: sets ("gopher", "c4", "fineweb") or single ones ("gopher.words")."""
    limits: dict[str, float] = {}
    """Limits in place of the published ones, by rule."""
    languages: list[str] = []
    """ISO codes ("en") of the languages that are kept; none named keeps all."""
    groups: list[Literal["language", "domain"]] = ["language", "domain"]
    """What documents must share to be ranked against each other and to fill tiers together; none: all with all."""
    thresholds: dict[str, float] = {}
    """Least score (0 to 1) of each tier, in place of the shares of `keep`."""
    most_correlated: Share = 1.0
    """Of two signals whose scores correlate more than this (Spearman), the lighter one does not count."""
    reference: list[str] = []
    """Good examples (folders, globs, files): likeness to them is one more signal."""
    unlike: list[str] = []
    """Bad examples, for the same signal."""
    labels: str = ""
    """JSON Lines of a strong model's scores ("underdog curate label"): an annotator learns them and fills those
    signals."""

    @property
    def tiers(self) -> list[Tier]:
        """Those that are filled, best first: by `thresholds` where there are any, else by `keep`."""
        return [tier for tier in TIERS if (tier in self.thresholds if self.thresholds else self.keep.get(tier))]


class Tokenizer(Section):
    vocabulary: Annotated[int, Field(ge=300)] = 4096
    splitter: Literal["qwen2", "llama-bpe", "gpt-2"] = "qwen2"
    """Pre-tokenizer pattern, by the name that llama.cpp knows it by."""
    held_out: list[Tier] = ["top", "high"]
    """Tiers of which some documents are read by no phase: the loss on them is reported tier by tier, and by phase on
    good text, top and high."""
    held_out_share: Annotated[float, Field(gt=0, lt=1)] = 0.03
    """Of the documents of those tiers."""

    @field_validator("held_out")
    @classmethod
    def _holds_good_text_out(cls, held_out: list[Tier]) -> list[Tier]:
        if not set(held_out) & set(GOOD):
            raise ValueError('must name "top" or "high": the loss of a phase is that on good text')
        return held_out


class Rate(Section):
    """A learning rate that moves from one value to another over its phase. One that does not is a plain number."""

    model_config = ConfigDict(populate_by_name=True)
    start: NotNegative = Field(alias="from")
    end: NotNegative = Field(alias="to")
    shape: Literal["constant", "linear", "cosine", "1-sqrt"] = "linear"


class Phase(Section):
    """A stretch of pretraining that owns its mixture AND its learning rate (FG-WSD)."""

    name: str
    share: Share | None = None
    """Share of `pretrain.tokens`, to the nearest whole batch; with the other phases it makes 1."""
    tokens: Count | None = None
    """Or its tokens, to the sequence: the last step gives or takes what a whole batch would miss."""
    lr: NotNegative | Rate
    mix: dict[str, Share]
    """Shares of the tokens by tier ("top"), by source of curated text ("python-docs"), by both ("top/python-docs");
    "arithmetic" and "demonstrations" can be mixed in too."""
    context: Count | None = None
    """Sequence length in tokens; the model's context unless said."""
    rope_base: Positive | None = None
    """Rotary base from here on (ABF: a longer context wants a larger base)."""
    batch_tokens: Count | None = None
    """Tokens a step; `pretrain.batch_tokens` unless said."""

    @model_validator(mode="after")
    def _one_length(self) -> "Phase":
        if (self.share is None) == (self.tokens is None):
            raise ValueError(f'phase "{self.name}" should have either a share or tokens')
        return self


class Spikes(Section):
    """Steps that are skipped, with a line in the log, because one batch would throw the model off (PaLM, arXiv
    2204.02311, section 5.1). A threshold is a multiple of the running median over `window` steps; 0 = never skip."""

    loss: NotNegative = 0.0
    gradient_norm: NotNegative = 0.0
    window: Annotated[int, Field(ge=4)] = 64
    """Steps, skipped ones too: a change that lasts is accepted after half of them."""


class Pretrain(Section):
    preset: Literal["fg-wsd", "wsd", "cosine", "own"] = "fg-wsd"
    """Where the phases come from: a published schedule, or `[[pretrain.phase]]` tables of your own."""
    tokens: Count = 3_000_000
    """The budget; where every phase says its own tokens, their sum."""
    peak_lr: Positive = 3e-3
    batch_tokens: Count = 4096
    epochs: Positive = 8.0
    """Most passes over any source; a plan that needs more is refused before it starts."""
    epochs_of: dict[str, Positive] = {}
    """The same for single sources: { arithmetic = 50 }."""
    phase: list[Phase] = []
    optimizer: Optimizer = Optimizer(kind="muon")
    z_loss: NotNegative = 0.0
    """Weight of the squared log of the softmax's normaliser, which keeps logits from drifting (PaLM: 1e-4); 0 = off."""
    spikes: Spikes = Spikes()
    average: Below1 = 0.0
    """Decay of a moving average of the weights, step by step through the last phase; the checkpoint then holds the
    average. It begins as the plain mean of the phase's first 1 / (1 - average) steps. 0 = off."""

    @model_validator(mode="after")
    def _phases_have_names_of_their_own(self) -> "Pretrain":
        check_names("pretrain.phase", [phase.name for phase in self.phase])
        return self


class Control(Section):
    """The comparison that reinforcement, or else distillation, must win: the same time spent on more SFT."""

    enabled: bool = True


class Evaluate(Section):
    samples: Count = 8
    """Answers a problem at temperature 1; pass@1 is their mean."""
    max_new_tokens: Count = 128


class Export(Section):
    formats: list[Literal["f32", "f16", "q8_0", "q4_k_m"]] = ["f32", "q8_0"]
    """GGUF files beside the Hugging Face folder; q4_k_m needs xllamacpp."""


class Compute(Section):
    """How pretraining and SFT are computed: what a step costs. Only `precision` changes what is learned."""

    precision: Literal["float32", "bf16", "fp8"] = "float32"
    """`bf16` multiplies in bfloat16 and keeps weights, sums of gradients and moments in float32. `fp8` has the blocks'
    matrices in float8 on top of it (needs torchao). Machines without units for them are slower with them: `underdog
    doctor` measures."""
    activation_checkpointing: bool = False
    """Keep only each block's input and compute the rest again in the backward pass: a third more arithmetic, a
    fraction of the memory."""
    compile: bool = False
    """torch.compile, block by block."""
    part_tokens: Count | None = None
    """Tokens that one forward and backward pass holds; a step has as many passes as its tokens need. None: 512 on a
    CPU, whose cores each work on a part, and 16,384 on a GPU."""
    context_parallel: Count = 1
    """Processes that share each sequence: for contexts that one device's memory does not hold. --nproc is a multiple
    of it."""


class Recipe(Section):
    """From raw text to a served model."""

    name: str = "model"
    """The run's folder is called by it."""
    seed: int = 1
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads; 0 = all cores. Results are bit-identical only at the same number of threads."""
    compute: Compute = Compute()
    base: str = ""
    """A checkpoint folder to start from: no text is read and nothing is pretrained."""
    model: Model = Model()
    problems: Problems = Problems()
    curate: Curate = Curate()
    tokenizer: Tokenizer = Tokenizer()
    pretrain: Pretrain = Pretrain()
    refine: Refine = Refine()
    reconstruct: Reconstruct = Reconstruct()
    sft: Sft = Sft()
    distill: Distill = Distill()
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
