"""The decoder's configuration, as the field writes it in config.json."""

from dataclasses import dataclass, replace
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.recipe.schema import Model

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}
PLAIN_ONLY = "Only the plain Llama and Qwen3 layouts are: choose a checkpoint without it."


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a decoder in the Llama layout."""

    family: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    ffn: int
    context: int
    rope_base: float
    norm_eps: float
    tied: bool

    @classmethod
    def from_recipe(cls, model: Model, vocabulary: int) -> "ModelConfig":
        return cls(vocabulary=vocabulary, **model.model_dump())

    @property
    def qk_norm(self) -> bool:
        return self.family == "qwen3"

    def with_rope_base(self, base: float) -> "ModelConfig":
        return replace(self, rope_base=base)

    def to_hf(self, special: dict[str, int]) -> dict[str, Any]:
        """The content of config.json. `special` holds bos_token_id, eos_token_id and pad_token_id."""
        return {
            "architectures": [ARCHITECTURES[self.family]],
            "model_type": self.family,
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_width,
            "intermediate_size": self.ffn,
            "max_position_embeddings": self.context,
            "rope_theta": self.rope_base,
            "rms_norm_eps": self.norm_eps,
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "use_cache": True,
            "dtype": "float32",
            **({"mlp_bias": False} if self.family == "llama" else {"use_sliding_window": False}),
            **special,
        }

    @classmethod
    def from_hf(cls, config: dict[str, Any], where: str) -> "ModelConfig":
        """Reads config.json.

        Raises:
            UserError: a family or a feature that this decoder does not have yet.
        """
        if not isinstance(config, dict):
            raise UserError(f"{where} does not hold a model's configuration.", hint="It should be a JSON object.")
        family = str(config.get("model_type"))
        if family not in ARCHITECTURES:
            raise UserError(
                f'{where}: model family "{family}" is not supported.', hint=did_you_mean(family, ARCHITECTURES)
            )
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default" or rope.get("partial_rotary_factor", 1) != 1:
            raise UserError(f"{where}: rope scaling {rope} is not supported.", hint=PLAIN_ONLY)
        for feature in ("attention_bias", "mlp_bias", "use_sliding_window"):
            if config.get(feature):
                raise UserError(f"{where}: {feature} = true is not supported.", hint=PLAIN_ONLY)
        if (activation := config.get("hidden_act", "silu")) != "silu":
            raise UserError(f'{where}: hidden_act = "{activation}" is not supported.', hint=PLAIN_ONLY)

        def number(key: str, default: float | None = None) -> Any:
            """A positive number; a whole one unless there is a fractional default."""
            value = default if config.get(key) is None else config[key]
            kinds = int | float if isinstance(default, float) else int
            if value is None:
                raise UserError(f'{where}: "{key}" is missing.', hint="Copy config.json anew from where the model is.")
            if not isinstance(value, kinds) or isinstance(value, bool) or value <= 0:
                raise UserError(f'{where}: "{key}" is {value!r}.', hint="It should be a positive number.")
            return value

        heads = number("num_attention_heads")
        width = number("hidden_size")
        return cls(
            family=family,
            vocabulary=number("vocab_size"),
            width=width,
            layers=number("num_hidden_layers"),
            heads=heads,
            kv_heads=number("num_key_value_heads", heads),
            head_width=number("head_dim", width // heads),
            ffn=number("intermediate_size"),
            context=number("max_position_embeddings"),
            rope_base=float(number("rope_theta", float(rope.get("rope_theta") or 10_000))),
            norm_eps=float(number("rms_norm_eps", 1e-6)),
            tied=bool(config.get("tie_word_embeddings", False)),
        )
