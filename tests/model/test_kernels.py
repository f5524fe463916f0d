"""The hand-written operations against their plain forms, values and gradients."""

import pytest
import torch

from underdog.model.kernels import rms_norm, rotate


def plain_norm(x, weight, eps):
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * weight


def plain_rotation(x, cos, sin):
    """Each pair (i, i + F) is a complex number, turned by its angle; the numbers beyond 2F pass."""
    half = cos.shape[-1]
    turned = torch.complex(x[..., :half], x[..., half : 2 * half]) * torch.complex(cos, sin)
    return torch.cat([turned.real, turned.imag, x[..., 2 * half :]], dim=-1)


def compare(operation, plain, x, *inputs, tolerance):
    """In x's precision against the plain form in float64."""
    slopes = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    results = []
    for function, dtype in ((operation, x.dtype), (plain, torch.float64)):
        leaf = x.detach().to(dtype).requires_grad_()
        others = [other.detach().double() if dtype == torch.float64 else other for other in inputs]
        out = function(leaf, *others)
        assert out.dtype == dtype
        (out * slopes.to(dtype)).sum().backward()
        results.append((out.detach().double(), leaf.grad.double()))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
)


@PRECISIONS
def test_rms_norm(dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(*shape, generator=generator).to(dtype) for shape in ((5, 3, 64), (64,)))
    compare(lambda x, w: rms_norm(x, w, 1e-5), lambda x, w: plain_norm(x, w, 1e-5), x, weight, tolerance=tolerance)


@PRECISIONS
@pytest.mark.parametrize("turned", [16, 12, 2])
def test_rotate(dtype, tolerance, turned):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3, 16, generator=generator).to(dtype)
    angles = torch.rand(5, 1, turned // 2, generator=generator).double() * 100
    table = angles.cos() * 1.3, angles.sin() * 1.3  # scalings may make it longer too
    cos, sin = table if dtype == torch.float64 else (one.float() for one in table)
    precise = torch.cat([cos, cos], dim=-1), sin
    compare(lambda x: rotate(x, precise), lambda x: plain_rotation(x, *table), x, tolerance=tolerance)
