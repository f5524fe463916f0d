"""The decoder's configuration, as the field writes it in config.json."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.model.families import FAMILIES, Family
from underdog.model.rope import Rope, number, read_rope, write_rope
from underdog.recipe.schema import Model

ACTIVATIONS = {"silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_pytorch_tanh"}
AGAIN = "Copy config.json anew from where the model is."
SIZES = {
    "vocabulary": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_width": "head_dim",
    "ffn": "intermediate_size",
    "context": "max_position_embeddings",
}
KEYS = {**SIZES, "norm_eps": "rms_norm_eps", "tied": "tie_word_embeddings", "activation": "hidden_act"}
SWITCHES = ("tied", "qkv_bias", "out_bias", "mlp_bias")
OPTIONAL_NUMBERS = ("query_width", "score_cap", "logit_cap")


@dataclass(frozen=True)
class Scoring:
    """How a layer's queries score keys."""

    window: int | None = None  # tokens that a query sees, the last of them its own; None: all
    scale: float | None = None  # of the products; None: 1 / sqrt(head width)
    cap: float | None = None  # scores end as cap * tanh(score / cap)


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a decoder; what its family fixes is in `families.py`."""

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
    activation: str = "silu"
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    window: int | None = None
    windowed: tuple[bool, ...] = ()  # by layer, whether the window holds there; empty where there is none
    rope_scaling: dict[str, Any] | None = None  # as config.json writes it
    rope_share: float = 1.0  # of a head's numbers, those that turn with the position
    local_rope_base: float | None = None  # of the layers with a window, where it differs; they are not scaled
    query_width: float | None = None  # scores are divided by its root; None: the head width
    score_cap: float | None = None
    logit_cap: float | None = None

    @classmethod
    def from_recipe(cls, model: Model, vocabulary: int) -> "ModelConfig":
        return cls(vocabulary=vocabulary, **model.model_dump(), **FAMILIES[model.family].fixed)

    @property
    def switches(self) -> Family:
        return FAMILIES[self.family]

    @property
    def qk_norm(self) -> bool:
        return self.switches.qk_norm

    def with_rope_base(self, base: float) -> "ModelConfig":
        return replace(self, rope_base=base)

    def has_window(self, layer: int) -> bool:
        return bool(self.windowed) and self.windowed[layer]

    def scoring(self, layer: int) -> Scoring:
        scale = None if self.query_width is None else self.query_width**-0.5
        return Scoring(self.window if self.has_window(layer) else None, scale, self.score_cap)

    def rope(self, local: bool = False) -> Rope:
        """The angles of the layers without a window, or of those with one."""
        width = int(self.head_width * self.rope_share)
        if local and self.local_rope_base is not None:
            return Rope(self.local_rope_base, width, self.context, None)
        return Rope(self.rope_base, width, self.context, self.rope_scaling)

    def to_hf(self, special: dict[str, int], dtype: str = "float32") -> dict[str, Any]:
        """The content of config.json. `special` holds bos_token_id, eos_token_id and pad_token_id."""
        family = self.switches
        return {
            "architectures": [family.architecture],
            "model_type": self.family,
            **{key: getattr(self, field) for field, key in (KEYS | family.keys).items()},
            **write_rope(self.rope_base, self.local_rope_base, self.rope_scaling, self.rope_share),
            **_write_windows(self, family),
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "use_cache": True,
            "dtype": dtype,
            **special,
        }

    @classmethod
    def from_hf(cls, config: dict[str, Any], where: str) -> "ModelConfig":
        """Reads config.json.

        Raises:
            UserError: a family or a feature that this decoder does not have.
        """
        family = _family(config, where)
        name, config = config["model_type"], {**family.defaults, **config}
        keys = KEYS | family.keys
        if config.get(keys["head_width"]) is None:  # old files leave these two unsaid
            config[keys["head_width"]] = _size(config, "hidden_size", where) // _size(config, KEYS["heads"], where)
        if config.get(keys["kv_heads"]) is None:
            config[keys["kv_heads"]] = config[KEYS["heads"]]
        fields = {field: _size(config, key, where) for field, key in SIZES.items()}
        if fields["heads"] % fields["kv_heads"]:
            raise UserError(
                f"{where}: {fields['heads']} heads cannot share {fields['kv_heads']} key and value heads.", hint=AGAIN
            )
        fields |= {field: bool(config.get(keys[field], False)) for field in SWITCHES if field in keys}
        fields |= {
            field: number(config[keys[field]], keys[field], where)
            for field in OPTIONAL_NUMBERS
            if field in keys and config.get(keys[field]) is not None
        }
        found = cls(
            family=name,
            norm_eps=number(config.get(keys["norm_eps"]) or 1e-6, keys["norm_eps"], where),
            activation=_activation(name, config.get(keys["activation"]) or "silu", keys["activation"], where),
            **fields,
            **family.fixed,
            **_read_windows(config, family, fields["layers"], where),
            **read_rope(config, where),
        )
        _check_factors(found, where)
        return found


def _family(config: dict[str, Any], where: str) -> Family:
    if not isinstance(config, dict):
        raise UserError(f"{where} does not hold a model's configuration.", hint="It should be a JSON object.")
    name = str(config.get("model_type"))
    if name not in FAMILIES:
        raise UserError(f'{where}: model family "{name}" is not supported.', hint=did_you_mean(name, FAMILIES))
    if config.get("quantization_config"):
        raise UserError(f"{where}: quantised weights are not supported.", hint="Take the checkpoint they were made of.")
    if config.get("use_bidirectional_attention"):
        raise UserError(f"{where}: attention in both directions is not supported.", hint="Take a causal model.")
    return FAMILIES[name]


def _activation(family: str, name: Any, key: str, where: str) -> str:
    if name not in ACTIVATIONS:
        raise UserError(f'{where}: {key} = "{name}" is not supported.', hint=did_you_mean(str(name), ACTIVATIONS))
    # The first Gemma files say gelu and mean its approximation; transformers reads them so.
    return "gelu_pytorch_tanh" if (family, name) == ("gemma", "gelu") else ACTIVATIONS[name]


def _check_factors(config: ModelConfig, where: str) -> None:
    angles = config.rope().width // 2
    for key in ("short_factor", "long_factor"):
        given = (config.rope_scaling or {}).get(key)
        if given is not None and len(given) != angles:
            raise UserError(f'{where}: "{key}" has {len(given)} numbers; a head has {angles} angles.', hint=AGAIN)


def _read_windows(config: Mapping[str, Any], family: Family, layers: int, where: str) -> dict[str, Any]:
    """`window` and `windowed`."""
    window = config.get("sliding_window")
    if family.windows == "none" or window is None:
        return {}
    if family.windows == "late" and not config.get("use_sliding_window"):
        return {}
    kinds = config.get("layer_types")
    if family.windows == "all":
        windowed = [True] * layers
    elif kinds is not None:
        if (
            not isinstance(kinds, list)
            or len(kinds) != layers
            or not set(kinds) <= {"sliding_attention", "full_attention"}
        ):
            raise UserError(
                f'{where}: "layer_types" does not say sliding or full for each of {layers} layers.', hint=AGAIN
            )
        windowed = [kind == "sliding_attention" for kind in kinds]
    elif family.windows == "late":
        windowed = [layer >= config["max_window_layers"] for layer in range(layers)]
    else:
        windowed = [(layer + 1) % _size(config, "sliding_window_pattern", where) != 0 for layer in range(layers)]
    if not any(windowed):
        return {}
    return {"window": _size(config, "sliding_window", where), "windowed": tuple(windowed)}


def _write_windows(config: ModelConfig, family: Family) -> dict[str, Any]:
    if family.windows == "none":
        return {}
    if family.windows == "all":
        return {"sliding_window": config.window}
    windowed = config.windowed or (False,) * config.layers
    kinds = ["sliding_attention" if windowed[layer] else "full_attention" for layer in range(config.layers)]
    written = {"sliding_window": config.window, "layer_types": kinds}
    if family.windows == "late":
        written |= {
            "use_sliding_window": config.window is not None,
            "max_window_layers": windowed.index(True) if any(windowed) else config.layers,
        }
    return written


def _size(config: Mapping[str, Any], key: str, where: str) -> int:
    if config.get(key) is None:
        raise UserError(f'{where}: "{key}" is missing.', hint=AGAIN)
    return number(config[key], key, where, kinds=int)
