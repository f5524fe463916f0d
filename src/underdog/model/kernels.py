"""Small operations whose automatic derivatives cost more passes over memory than they need.

Each is checked against the plain form in tests/model/test_kernels.py.
"""

import torch
from torch import Tensor


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = _wide(x)
        scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (wide * scale).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, weight, scale = ctx.saved_tensors
        wide, grad = _wide(x), _wide(grad)
        grad_weight = scale.flatten() @ (grad * wide).flatten(0, -2)
        grad = grad * weight
        along = torch.linalg.vecdot(grad, wide)[..., None].mul_(scale.square()).div_(-x.shape[-1])
        grad_x = grad.addcmul_(wide, along).mul_(scale)
        return grad_x.to(x.dtype), grad_weight.to(weight.dtype), None


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
    half = x.shape[-1] // 2
    wide = _wide(x)  # angles keep their precision
    out = wide * torch.cat([cos, cos], dim=-1)
    out[..., :half].addcmul_(wide[..., half:], sin, value=-sign)
    out[..., half:].addcmul_(wide[..., :half], sin, value=sign)
    return out.to(x.dtype)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) * weight over the last dimension."""
    return _RMSNorm.apply(x, weight, eps)


def rotate(x_NHE: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions in the half-split layout (GPT-NeoX, Llama in transformers).

    cos and sin are [N, 1, F]: the first 2F of a head's numbers turn, the rest pass.
    """
    cos, sin = rotary
    turned = 2 * cos.shape[-1]
    if turned == x_NHE.shape[-1]:
        return _Rotate.apply(x_NHE, cos, sin)
    return torch.cat([_Rotate.apply(x_NHE[..., :turned], cos, sin), x_NHE[..., turned:]], dim=-1)
