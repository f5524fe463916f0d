"""The decoder: Llama layout, grouped-query attention, rotary positions, SwiGLU, RMSNorm, optional QK-norm.

Shapes: N tokens laid end to end (no padding), D width, H heads, K key/value heads, E head width, V vocabulary.
Parameter names are those of the Hugging Face folder, so a checkpoint is the state dict itself.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from underdog.model.attention import Attention
from underdog.model.config import ModelConfig
from underdog.model.kernels import rms_norm, rotate


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


class SelfAttention(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        D, H, K, E = config.width, config.heads, config.kv_heads, config.head_width
        self.head_width = E
        self.q_proj = nn.Linear(D, H * E, bias=False)
        self.k_proj = nn.Linear(D, K * E, bias=False)
        self.v_proj = nn.Linear(D, K * E, bias=False)
        self.o_proj = nn.Linear(H * E, D, bias=False)
        if config.qk_norm:
            self.q_norm = RMSNorm(E, config.norm_eps)
            self.k_norm = RMSNorm(E, config.norm_eps)

    def forward(self, x_ND: Tensor, layer: int, attend: Attention, rotary: tuple[Tensor, Tensor]) -> Tensor:
        N = x_ND.shape[0]
        q_NHE = self.q_proj(x_ND).view(N, -1, self.head_width)
        k_NKE = self.k_proj(x_ND).view(N, -1, self.head_width)
        v_NKE = self.v_proj(x_ND).view(N, -1, self.head_width)
        if hasattr(self, "q_norm"):
            q_NHE, k_NKE = self.q_norm(q_NHE), self.k_norm(k_NKE)
        out_NHE = attend(layer, rotate(q_NHE, rotary), rotate(k_NKE, rotary), v_NKE)
        return self.o_proj(out_NHE.reshape(N, -1))


class FeedForward(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.ffn, bias=False)
        self.up_proj = nn.Linear(config.width, config.ffn, bias=False)
        self.down_proj = nn.Linear(config.ffn, config.width, bias=False)

    def forward(self, x_ND: Tensor) -> Tensor:
        return self.down_proj(silu(self.gate_proj(x_ND)) * self.up_proj(x_ND))


class Block(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.norm_eps)
        self.self_attn = SelfAttention(config)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, x_ND: Tensor, layer: int, attend: Attention, rotary: tuple[Tensor, Tensor]) -> Tensor:
        x_ND = x_ND + self.self_attn(self.input_layernorm(x_ND), layer, attend, rotary)
        return x_ND + self.mlp(self.post_attention_layernorm(x_ND))


class Trunk(nn.Module):
    """Everything below the output head (`model.` in the Hugging Face names)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)


class Decoder(nn.Module):
    """A causal language model."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.model = Trunk(config)
        self.lm_head = nn.Linear(config.width, config.vocabulary, bias=False)
        if config.tied:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, ids_N: Tensor, attend: Attention) -> Tensor:
        """Hidden states [N, D] after the last norm; `logits` turns those that are needed into scores."""
        rotary = rotary_table(attend.positions, self.config)
        x_ND = self.model.embed_tokens(ids_N)
        for index, block in enumerate(self.model.layers):
            x_ND = block(x_ND, index, attend, rotary)
        return self.model.norm(x_ND)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores [N, V] of the next token."""
        return linear(hidden_ND, self.lm_head.weight)

    def initialise(self, seed: int) -> "Decoder":
        """Normal weights of std 0.02; those that write into the residual stream shrink with depth (GPT-2).

        Embeddings get std 0.7 / sqrt(width) (ours): at 0.02 a narrow model learns to copy much later
        (docs/notebook.md).
        """
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if name.endswith("embed_tokens.weight"):
                    weight.normal_(0.0, 0.7 * self.config.width**-0.5, generator=generator)
                elif weight.ndim == 2:
                    residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                    std = 0.02 / (2 * self.config.layers) ** 0.5 if residual else 0.02
                    weight.normal_(0.0, std, generator=generator)
        return self

    def set_rope_base(self, base: float) -> None:
        """Raises the rotary base for a longer context (ABF)."""
        self.config = self.config.with_rope_base(base)

    def parameter_count(self) -> int:
        return sum(weight.numel() for weight in self.parameters())


def rotary_table(positions_N: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines [N, 1, E/2] of the rotary angles."""
    exponents = torch.arange(0, config.head_width, 2, dtype=torch.int64).float() / config.head_width
    angles = (positions_N[:, None].float() * (1.0 / config.rope_base**exponents))[:, None, :]
    return angles.cos(), angles.sin()
