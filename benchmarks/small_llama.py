"""The small Llama that benchmarks give to both sides: its shape for our decoder, and transformers' model of it."""

from underdog.model.config import ModelConfig


def shape(vocabulary: int, width: int, layers: int, heads: int, ffn: int, context: int, tied: bool) -> ModelConfig:
    return ModelConfig(
        family="llama",
        vocabulary=vocabulary,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        ffn=ffn,
        context=context,
        rope_base=10000.0,
        norm_eps=1e-6,
        tied=tied,
    )


def theirs(config: ModelConfig, **settings):
    """transformers' model, with random weights of its own making."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**config.to_hf({}), **settings))
