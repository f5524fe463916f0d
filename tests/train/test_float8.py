"""Training in float8: the numbers that torchao rounds, and a model that learns nevertheless."""

import pytest
import torch
from torch import nn

from underdog.errors import UserError
from underdog.model.adapters import attach
from underdog.recipe.schema import Compute, Optimizer
from underdog.recipe.teaching import Adapter
from underdog.train import float8
from underdog.train.batch import collate
from underdog.train.float8 import check_float8, product_in_float8, use_float8
from underdog.train.objectives import next_token
from underdog.train.strategy import Local
from underdog.train.trainer import Trainer

WIDE = {"vocabulary": 40, "width": 32, "heads": 2, "kv_heads": 1, "ffn": 48}


def rounded(x, kind):
    """What is left of a tensor: its numbers over its largest, in eight bits."""
    scale = x.abs().max() / torch.finfo(kind).max
    return (x / scale).to(kind).float() * scale


def test_products_are_those_of_rounded_numbers(tiny):
    """Against plain float32 products; 37 rows are no multiple of what the kernels take."""
    torch.manual_seed(1)
    model = tiny(**WIDE)
    layer = model.model.layers[0].mlp.gate_proj
    use_float8(model)
    quick = model.model.layers[0].mlp.gate_proj
    assert quick.weight is layer.weight
    x, grad = torch.randn(37, 32, requires_grad=True), torch.randn(37, 48)
    quick(x).backward(grad)
    near, weight = rounded(x.detach(), torch.float8_e4m3fn), rounded(layer.weight.detach(), torch.float8_e4m3fn)
    slope = rounded(grad, torch.float8_e5m2)
    torch.testing.assert_close(quick(x), near @ weight.T, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x.grad, slope @ weight, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.weight.grad, slope.T @ near, rtol=1e-5, atol=1e-5)


def test_the_kernel_multiplies_rounded_numbers():
    """PyTorch's own product, which GPUs use: of what the numbers are in E4M3, summed in more bits."""
    x, weight = torch.randn(5, 32), torch.randn(16, 32)
    near, near_weight = (one.to(torch.float8_e4m3fn).float() for one in (x, weight))
    torch.testing.assert_close(product_in_float8(x, weight), (near @ near_weight.T).bfloat16(), rtol=1e-2, atol=1e-2)


def trained(model, examples, compute, steps=5):
    trainer = Trainer(model, Optimizer(), next_token, Local(compute))
    return [trainer.update([collate(examples[:6]), collate(examples[6:])], 1e-2)["loss"] for _ in range(steps)]


def test_a_model_learns_as_in_float32(tiny, examples):
    exact, rough = tiny(**WIDE), tiny(**WIDE)
    losses = trained(exact, examples, Compute())
    assert trained(rough, examples, Compute(precision="fp8")) == pytest.approx(losses, rel=0.1)
    assert losses[-1] < 0.7 * losses[0]
    assert {weight.dtype for weight in rough.parameters()} == {torch.float32}
    assert not any(torch.equal(*pair) for pair in zip(exact.parameters(), rough.parameters(), strict=True))


def test_activation_checkpointing_changes_no_bit(tiny, examples):
    compute = Compute(precision="fp8")
    again = compute.model_copy(update={"activation_checkpointing": True})
    assert trained(tiny(**WIDE), examples, compute, 3) == trained(tiny(**WIDE), examples, again, 3)


def test_only_matrices_inside_the_blocks_are_rounded(tiny):
    model = tiny(**WIDE)
    use_float8(model)
    kinds = {name: type(layer).__name__ for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    assert {name for name, kind in kinds.items() if kind == "Linear"} == {"lm_head"}
    assert len(kinds) == 1 + 7 * len(model.model.layers)


def test_adapters_learn_over_rounded_matrices(tiny, examples):
    model = tiny(**WIDE)
    attach(model, Adapter(kind="lora", rank=4), seed=1)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    losses = trained(model, examples, Compute(precision="fp8"))
    changed = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed and all("lora_" in name for name in changed)
    assert losses[-1] < losses[0]


def test_what_cannot_be_is_said(tiny, monkeypatch):
    with pytest.raises(UserError, match=r"multiples of 16; layer 0\.mlp\.gate_proj is 40 by 32"):
        use_float8(tiny(**{**WIDE, "ffn": 40}))
    packed = tiny(**WIDE)
    attach(packed, Adapter(kind="lora", rank=4, precision="nf4"), seed=1)
    with pytest.raises(UserError, match="finds no matrix"):
        use_float8(packed)

    def refuses(*_, **__):
        raise RuntimeError("torch._scaled_mm is only supported on newer ones\nand more")

    monkeypatch.setattr(torch, "_scaled_mm", refuses)
    with pytest.raises(UserError, match=r"This GPU does not multiply in float8: .* newer ones$") as problem:
        check_float8("meta")  # stands for a GPU
    assert "bf16" in problem.value.hint
    monkeypatch.setattr(float8, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs torchao"):
        check_float8("cpu")
