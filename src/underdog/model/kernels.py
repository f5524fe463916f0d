"""Small operations whose automatic derivatives cost more passes over memory than they need.

Each is checked against the plain form in tests/model/test_kernels.py.
"""

import torch
from torch import Tensor


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        out, scale = _normed(x, weight, eps)
        ctx.save_for_backward(x, weight, scale)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, weight, scale = ctx.saved_tensors
        wide, grad = _wide(x), _wide(grad)
        grad_weight = scale.flatten() @ (grad * wide).flatten(0, -2)
        grad = grad * weight
        along = torch.linalg.vecdot(grad, wide)[..., None].mul_(scale.square()).div_(-x.shape[-1])
        grad_x = grad.addcmul_(wide, along).mul_(scale)
        return grad_x.to(x.dtype), grad_weight.to(weight.dtype), None


def _normed(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The norm, and what it multiplied by."""
    wide = _wide(x)
    scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return (wide * scale).mul_(weight).to(x.dtype), scale


def _wide(x: Tensor) -> Tensor:
    """float32 for half precision: sums of squares need the digits."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1.0)

    @staticmethod
    def backward(ctx, grad: Tensor):
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos, sin, -1.0), None, None  # the transpose of a rotation turns back


def _turned(x: Tensor, cos: Tensor, sin: Tensor, sign: float) -> Tensor:
    wide = _wide(x)  # angles keep their precision
    out = wide * cos
    (first, second), (out_first, out_second) = wide.chunk(2, -1), out.chunk(2, -1)
    out_first.addcmul_(second, sin, value=-sign)
    out_second.addcmul_(first, sin, value=sign)
    return out.to(x.dtype)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) * weight over the last dimension."""
    if not torch.is_grad_enabled():  # a step of decoding is made of operations so small that their set-up counts
        return _normed(x, weight, eps)[0]
    return _RMSNorm.apply(x, weight, eps)


def rotate(x_NHE: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions in the half-split layout (GPT-NeoX, Llama in transformers).

    cos [N, 1, 2F] holds the cosines twice, sin [N, 1, F] the sines once: the first 2F of a head's numbers turn, the
    rest pass.
    """
    cos, sin = rotary
    turned = cos.shape[-1]
    if turned < x_NHE.shape[-1]:
        return torch.cat([_rotated(x_NHE[..., :turned], cos, sin), x_NHE[..., turned:]], dim=-1)
    return _rotated(x_NHE, cos, sin)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return _Rotate.apply(x, cos, sin) if torch.is_grad_enabled() else _turned(x, cos, sin, 1.0)
