"""The blocks' matrices multiplied in eight bits, by torchao.

Inputs and weights become float8 E4M3, gradients E5M2 (arXiv 2209.05433, section 3), each tensor divided by a scale that
its own largest number sets (dynamic, tensor-wise). Sums are of more bits; weights, moments and sums of gradients
stay float32. Embeddings, norms, attention and the output head compute as with bf16.

On a CPU the same rounded numbers are multiplied in wider ones: PyTorch's float8 product takes seconds there.
"""

import logging
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import nn

from underdog.errors import UserError
from underdog.model.decoder import Decoder

MULTIPLE = 16  # of numbers that a GPU's float8 product takes on either side of a matrix
INSTEAD = "Say compute.precision = bf16, or float32."


def check_float8(device: str) -> None:
    """
    Raises:
        UserError: that GPU or build of PyTorch does not multiply in float8, or torchao is not installed.
    """
    if find_spec("torchao") is None:
        raise UserError("Training in float8 needs torchao.", hint='pip install "underdog[fp8]"')
    if device == "cpu":
        return
    zeros = torch.zeros(MULTIPLE, MULTIPLE, device=device)
    try:
        product_in_float8(zeros, zeros)
    except (RuntimeError, AttributeError) as problem:
        reason = str(problem).splitlines()[0]
        raise UserError(f"This GPU does not multiply in float8: {reason}", hint=INSTEAD) from None


def product_in_float8(x_NI: torch.Tensor, weight_OI: torch.Tensor) -> torch.Tensor:
    """One product [N, O], bfloat16, of numbers that need no scale."""
    one = torch.ones((), device=x_NI.device)
    kind = torch.float8_e4m3fn
    return torch._scaled_mm(x_NI.to(kind), weight_OI.to(kind).t(), one, one, out_dtype=torch.bfloat16)


def use_float8(model: Decoder) -> None:
    """Makes every linear layer inside the blocks, in place, one that multiplies in float8; its weight stays the same
    parameter. Layers under an adapter are among them, layers packed into four bits are not.

    Raises:
        UserError: a matrix of sides that the products do not take, no matrix at all, no hardware or library for it.
    """
    device = model.lm_head.weight.device.type
    check_float8(device)
    layers = {name: layer for name, layer in model.model.layers.named_modules() if isinstance(layer, nn.Linear)}
    if not layers:
        raise UserError('compute.precision = "fp8" finds no matrix to multiply: all are packed.', hint=INSTEAD)
    for name, layer in layers.items():
        if layer.in_features % MULTIPLE or layer.out_features % MULTIPLE:
            raise UserError(
                f'compute.precision = "fp8" takes matrices whose sides are multiples of {MULTIPLE}; layer {name} is '
                f"{layer.out_features} by {layer.in_features}.",
                hint=INSTEAD,
            )
    library = _torchao()
    settings = library.Float8LinearConfig(pad_inner_dim=True, emulate=device == "cpu")
    library.convert_to_float8_training(model.model.layers, config=settings)


def _torchao() -> ModuleType:
    """The library's float8 part. It warns, when it is imported, of kernels that are not called here."""
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import torchao.float8

    return torchao.float8
