"""The decoder's configuration, as the field writes it in config.json."""

from dataclasses import dataclass, replace
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.recipe.schema import Model

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}


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
        family = config.get("model_type", "")
        if family not in ARCHITECTURES:
            raise UserError(
                f'{where}: model family "{family}" is not supported.',
                hint=did_you_mean(family, ARCHITECTURES),
            )
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        if rope.get("rope_type", rope.get("type", "default")) != "default":
            raise UserError(f"{where}: rope scaling {rope} is not supported.")
        for feature in ("attention_bias", "mlp_bias", "use_sliding_window"):
            if config.get(feature):
                raise UserError(f"{where}: {feature} = true is not supported.")
        heads = _need(config, "num_attention_heads", where)
        width = _need(config, "hidden_size", where)
        return cls(
            family=family,
            vocabulary=_need(config, "vocab_size", where),
            width=width,
            layers=_need(config, "num_hidden_layers", where),
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_width=config.get("head_dim") or width // heads,
            ffn=_need(config, "intermediate_size", where),
            context=_need(config, "max_position_embeddings", where),
            rope_base=float(config.get("rope_theta") or rope.get("rope_theta") or 10_000.0),
            norm_eps=float(config.get("rms_norm_eps", 1e-6)),
            tied=bool(config.get("tie_word_embeddings", False)),
        )


def _need(config: dict[str, Any], key: str, where: str) -> Any:
    if key not in config:
        raise UserError(f'{where}: "{key}" is missing.')
    return config[key]
