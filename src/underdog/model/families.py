"""What tells one family of checkpoints from another: data, no code.

A family is a row of switches that the decoder reads, the names under which its config.json keeps what may vary, and
what is meant where config.json says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Family:
    architecture: str
    """The class of transformers that reads the same folder."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Field of `ModelConfig` -> key of config.json, beside or instead of those that all families have."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Key of config.json -> value where it is absent."""

    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ModelConfig` that config.json leaves unsaid."""

    windows: Literal["none", "all", "late", "mixed"] = "none"
    """Layers that `sliding_window` speaks of: none, all, those from `max_window_layers` on, or as in `layer_types`."""

    norm: Literal["rms", "rms_offset", "layer"] = "rms"
    """RMSNorm; RMSNorm that multiplies by one plus its weight; LayerNorm with a bias."""

    qk_norm: bool = False
    """An RMSNorm over each head's queries and keys."""

    post_norms: bool = False
    """What attention and feed-forward put into the residual stream is normed too."""

    gated: bool = True
    """The feed-forward multiplies by a gate (SwiGLU, GeGLU)."""

    fused: bool = False
    """Queries, keys and values come from one matrix, gate and up from another."""

    scaled_embedding: bool = False
    """Embeddings are multiplied by sqrt(width)."""


_BIASES = {"qkv_bias": "attention_bias", "out_bias": "attention_bias"}
_SCORES = {
    "query_width": "query_pre_attn_scalar",
    "score_cap": "attn_logit_softcapping",
    "logit_cap": "final_logit_softcapping",
}
_GEMMA = {"tie_word_embeddings": True, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh"}
_GEMMA_2 = {
    "tie_word_embeddings": True,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}

FAMILIES = {
    "llama": Family("LlamaForCausalLM", keys={**_BIASES, "mlp_bias": "mlp_bias"}),
    "mistral": Family("MistralForCausalLM", defaults={"sliding_window": 4096}, windows="all"),
    "qwen2": Family(
        "Qwen2ForCausalLM",
        defaults={"sliding_window": 4096, "max_window_layers": 28},
        fixed={"qkv_bias": True},
        windows="late",
    ),
    "qwen3": Family(
        "Qwen3ForCausalLM",
        keys=_BIASES,
        defaults={"head_dim": 128, "sliding_window": 4096, "max_window_layers": 28},
        windows="late",
        qk_norm=True,
    ),
    "gemma": Family(
        "GemmaForCausalLM",
        keys=_BIASES,
        defaults=_GEMMA,
        norm="rms_offset",
        scaled_embedding=True,
    ),
    "gemma2": Family(
        "Gemma2ForCausalLM",
        keys={**_BIASES, **_SCORES, "activation": "hidden_activation"},
        defaults={**_GEMMA_2, "sliding_window_pattern": 2}
        | {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
        windows="mixed",
        norm="rms_offset",
        post_norms=True,
        scaled_embedding=True,
    ),
    "gemma3_text": Family(
        "Gemma3ForCausalLM",
        keys={**_BIASES, **_SCORES, "activation": "hidden_activation"},
        defaults={**_GEMMA_2, "sliding_window_pattern": 6}
        | {"rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0},
        windows="mixed",
        norm="rms_offset",
        qk_norm=True,
        post_norms=True,
        scaled_embedding=True,
    ),
    "phi3": Family(
        "Phi3ForCausalLM",
        defaults={"rms_norm_eps": 1e-5, "original_max_position_embeddings": 4096},
        windows="all",
        fused=True,
    ),
    "starcoder2": Family(
        "Starcoder2ForCausalLM",
        keys={"qkv_bias": "use_bias", "out_bias": "use_bias", "mlp_bias": "use_bias", "norm_eps": "norm_epsilon"},
        defaults={
            "hidden_act": "gelu_pytorch_tanh",
            "norm_epsilon": 1e-5,
            "tie_word_embeddings": True,
            "use_bias": True,
        },
        windows="all",
        norm="layer",
        gated=False,
    ),
}
