"""Frozen matrices in four bits a weight: blocks of numbers that share a scale, each number an index into a table of 16.

NF4's table holds the quantiles of a normal distribution (QLoRA, arXiv 2305.14314, section 3), int4's even steps. Plain
torch: a matrix is unpacked when it is multiplied, and again in the backward pass; it never stays in memory whole.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

Kind = Literal["nf4", "int4"]
BLOCK = 64  # weights to a scale
NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
    *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
    *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
TABLES: dict[Kind, tuple[float, ...]] = {"nf4": NF4, "int4": tuple((step - 8) / 7 for step in range(16))}


class FourBit(nn.Module):
    """A frozen linear layer [out, in]: half a byte a weight and 4 bytes a block."""

    def __init__(self, layer: nn.Linear, kind: Kind):
        super().__init__()
        self.shape = tuple(layer.weight.shape)
        codes, scales = pack(layer.weight.detach(), TABLES[kind])
        # Buffers outside the state: they follow from the checkpoint, which is where they are read again.
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("scales", scales, persistent=False)
        self.register_buffer("table", torch.tensor(TABLES[kind]), persistent=False)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone(), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The matrix as it computes, unpacked [out, in], float32."""
        return unpack(self.codes, self.scales, self.table, self.shape)

    def forward(self, x: Tensor) -> Tensor:
        return _Multiply.apply(x, self, self.bias)


class _Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, layer: FourBit, bias: Tensor | None) -> Tensor:
        ctx.layer = layer
        return linear(x, layer.weight.to(x.dtype), bias)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return grad @ ctx.layer.weight.to(grad.dtype), None, None


def pack(weight: Tensor, table: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Codes [blocks, BLOCK / 2] uint8, two to a byte, and scales [blocks] float32."""
    flat = weight.float().flatten()
    blocks = pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scales = blocks.abs().amax(1)
    values = torch.tensor(table)
    borders = (values[1:] + values[:-1]) / 2
    codes = torch.bucketize(blocks / scales.clamp(min=1e-12)[:, None], borders).to(torch.uint8)
    return codes[:, ::2] * 16 + codes[:, 1::2], scales


def unpack(codes: Tensor, scales: Tensor, table: Tensor, shape: tuple[int, ...]) -> Tensor:
    both = torch.stack([codes >> 4, codes & 15], dim=-1).flatten(1).int()
    flat = (table[both] * scales[:, None]).flatten()
    return flat[: shape[0] * shape[1]].view(shape)
