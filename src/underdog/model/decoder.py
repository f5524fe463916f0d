"""The decoder: one body for all families of `families.py`, which differ in a handful of switches.

Pre-norm blocks of grouped-query attention with rotary positions and a (gated) feed-forward.
Shapes: N tokens laid end to end (no padding), D width, H heads, K key/value heads, E head width, V vocabulary.
Parameter names are those of the Hugging Face folder, so a checkpoint is the state dict itself.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, silu

from underdog.model.attention import Attention
from underdog.model.config import ModelConfig
from underdog.model.kernels import rms_norm, rotate

ACTIVATIONS = {"silu": silu, "gelu": gelu, "gelu_pytorch_tanh": lambda x: gelu(x, approximate="tanh")}
Rotary = tuple[Tensor, Tensor]  # cosines and sines


class RMSNorm(nn.Module):
    """`offset` is added to the weight: Gemma stores what a norm differs from one by."""

    def __init__(self, width: int, eps: float, offset: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), 1.0 - offset))
        self.eps = eps
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight + self.offset if self.offset else self.weight, self.eps)


def norm(config: ModelConfig, width: int) -> nn.Module:
    kind = config.switches.norm
    if kind == "layer":
        return nn.LayerNorm(width, config.norm_eps)
    return RMSNorm(width, config.norm_eps, 1.0 if kind == "rms_offset" else 0.0)


class SelfAttention(nn.Module):
    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        D, H, K, E = config.width, config.heads, config.kv_heads, config.head_width
        self.layer = layer
        self.scoring = config.scoring(layer)
        self.head_width = E
        self.widths = (H * E, K * E, K * E)
        if config.switches.fused:
            self.qkv_proj = nn.Linear(D, sum(self.widths), bias=config.qkv_bias)
        else:
            self.q_proj, self.k_proj, self.v_proj = (nn.Linear(D, w, bias=config.qkv_bias) for w in self.widths)
        self.o_proj = nn.Linear(H * E, D, bias=config.out_bias)
        if config.qk_norm:
            self.q_norm = norm(config, E)
            self.k_norm = norm(config, E)

    def forward(self, x_ND: Tensor, attend: Attention, rotary: Rotary) -> Tensor:
        N = x_ND.shape[0]
        q_NHE, k_NKE, v_NKE = (part.view(N, -1, self.head_width) for part in self._project(x_ND))
        if hasattr(self, "q_norm"):
            q_NHE, k_NKE = self.q_norm(q_NHE), self.k_norm(k_NKE)
        out_NHE = attend(self.layer, rotate(q_NHE, rotary), rotate(k_NKE, rotary), v_NKE, self.scoring)
        return self.o_proj(out_NHE.reshape(N, -1))

    def _project(self, x_ND: Tensor) -> tuple[Tensor, ...]:
        if hasattr(self, "qkv_proj"):
            return self.qkv_proj(x_ND).split(self.widths, dim=-1)
        return self.q_proj(x_ND), self.k_proj(x_ND), self.v_proj(x_ND)


class GatedFeedForward(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        if config.switches.fused:
            self.gate_up_proj = nn.Linear(config.width, 2 * config.ffn, bias=config.mlp_bias)
        else:
            self.gate_proj = nn.Linear(config.width, config.ffn, bias=config.mlp_bias)
            self.up_proj = nn.Linear(config.width, config.ffn, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.ffn, config.width, bias=config.mlp_bias)

    def forward(self, x_ND: Tensor) -> Tensor:
        if hasattr(self, "gate_up_proj"):
            gate, up = self.gate_up_proj(x_ND).chunk(2, dim=-1)
        else:
            gate, up = self.gate_proj(x_ND), self.up_proj(x_ND)
        return self.down_proj(self.activation(gate) * up)


class PlainFeedForward(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.c_fc = nn.Linear(config.width, config.ffn, bias=config.mlp_bias)
        self.c_proj = nn.Linear(config.ffn, config.width, bias=config.mlp_bias)

    def forward(self, x_ND: Tensor) -> Tensor:
        return self.c_proj(self.activation(self.c_fc(x_ND)))


class Block(nn.Module):
    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.input_layernorm = norm(config, config.width)
        self.self_attn = SelfAttention(config, layer)
        self.post_attention_layernorm = norm(config, config.width)
        self.mlp = GatedFeedForward(config) if config.switches.gated else PlainFeedForward(config)
        if config.switches.post_norms:
            self.pre_feedforward_layernorm = norm(config, config.width)
            self.post_feedforward_layernorm = norm(config, config.width)

    def forward(self, x_ND: Tensor, attend: Attention, rotary: Rotary) -> Tensor:
        if hasattr(self, "pre_feedforward_layernorm"):  # post_attention_layernorm is then what its name says
            attended = self.self_attn(self.input_layernorm(x_ND), attend, rotary)
            x_ND = x_ND + self.post_attention_layernorm(attended)
            return x_ND + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x_ND)))
        x_ND = x_ND + self.self_attn(self.input_layernorm(x_ND), attend, rotary)
        return x_ND + self.mlp(self.post_attention_layernorm(x_ND))


class Trunk(nn.Module):
    """Everything below the output head (`model.` in the Hugging Face names)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = norm(config, config.width)


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
        if attend.positions.device != ids_N.device:
            attend.to(ids_N.device)
        x_ND = self.model.embed_tokens(ids_N)
        if self.config.switches.scaled_embedding:
            x_ND = x_ND * torch.tensor(self.config.width**0.5, dtype=x_ND.dtype)  # rounded as the family rounds it
        far = self.config.rope().table(attend.positions, attend.lengths)
        near = far
        if self.config.local_rope_base is not None:
            near = self.config.rope(local=True).table(attend.positions, attend.lengths)
        for layer, block in enumerate(self.model.layers):
            x_ND = block(x_ND, attend, near if self.config.has_window(layer) else far)
        return self.model.norm(x_ND)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores [N, V] of the next token."""
        logits = linear(hidden_ND, self.lm_head.weight)
        cap = self.config.logit_cap
        return logits if cap is None else cap * (logits / cap).tanh()

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
                    residual = name.endswith(("o_proj.weight", "down_proj.weight", "c_proj.weight"))
                    std = 0.02 / (2 * self.config.layers) ** 0.5 if residual else 0.02
                    weight.normal_(0.0, std, generator=generator)
                elif name.endswith(".bias"):
                    weight.zero_()
        return self

    def set_rope_base(self, base: float) -> None:
        """Raises the rotary base for a longer context (ABF)."""
        self.config = self.config.with_rope_base(base)

    def parameter_count(self) -> int:
        return sum(weight.numel() for weight in self.parameters())
