"""Published models, built on the meta device from their config.json, have the parameters that their makers count."""

import pytest
import torch

from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder

NANBEIGE = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 166_144,
    "hidden_size": 2560,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "intermediate_size": 10_496,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_scaling": None,
}
PUBLISHED = {
    "Nanbeige4-3B-Base": (
        3_933_637_120,
        {**NANBEIGE, "rope_theta": 5_000_000.0, "max_position_embeddings": 32_768},
    ),
    "Nanbeige4.1-3B": (
        3_933_637_120,
        {**NANBEIGE, "rope_theta": 70_000_000.0, "max_position_embeddings": 262_144},
    ),
    "Qwen3-4B-Instruct-2507": (
        4_022_468_096,
        {
            "model_type": "qwen3",
            "vocab_size": 151_936,
            "hidden_size": 2560,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 9728,
            "max_position_embeddings": 262_144,
            "max_window_layers": 36,
            "rms_norm_eps": 1e-6,
            "rope_theta": 5_000_000,
            "rope_scaling": None,
            "sliding_window": None,
            "use_sliding_window": False,
            "tie_word_embeddings": True,
            "hidden_act": "silu",
            "attention_bias": False,
        },
    ),
    "DeepSeek-R1-Distill-Qwen-1.5B": (
        1_777_088_000,
        {
            "model_type": "qwen2",
            "vocab_size": 151_936,
            "hidden_size": 1536,
            "num_hidden_layers": 28,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "intermediate_size": 8960,
            "max_position_embeddings": 131_072,
            "max_window_layers": 21,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000,
            "sliding_window": 4096,
            "use_sliding_window": False,
            "use_mrope": False,
            "tie_word_embeddings": False,
            "hidden_act": "silu",
        },
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_count(name):
    expected, config = PUBLISHED[name]
    with torch.device("meta"):
        model = Decoder(ModelConfig.from_hf(config, name))
    assert model.parameter_count() == expected
    assert all(weight.is_meta for weight in model.parameters())
    assert model.config.context == config["max_position_embeddings"]
    assert model.config.rope_base == config["rope_theta"]
