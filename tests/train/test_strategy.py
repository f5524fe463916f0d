"""What [compute] changes in one process: memory and rounding, never what is learned."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from underdog.recipe.schema import Compute, Optimizer
from underdog.train.batch import collate
from underdog.train.objectives import next_token
from underdog.train.strategy import Local, on_whole, whole
from underdog.train.trainer import Trainer


def trained(tiny, examples, compute, steps=3):
    model = tiny(vocabulary=40, width=32, heads=2, kv_heads=1, ffn=48)
    trainer = Trainer(model, Optimizer(), next_token, Local(compute))
    losses = [trainer.update([collate(examples[:6]), collate(examples[6:])], 1e-2)["loss"] for _ in range(steps)]
    return losses, torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_activation_checkpointing_changes_no_bit(tiny, examples):
    losses, weights = trained(tiny, examples, Compute())
    again, others = trained(tiny, examples, Compute(activation_checkpointing=True))
    assert losses == again
    assert torch.equal(weights, others)


def test_activation_checkpointing_keeps_little(tiny, examples):
    """Counted in values: the graph of a pass holds each kept tensor through a hook of autograd."""

    def kept(compute):
        model = tiny(vocabulary=40, width=32, layers=6, heads=2, kv_heads=1, ffn=48)
        Local(compute).place(model)
        weights = {weight.data_ptr() for weight in model.parameters()}
        sizes = {}
        with saved_tensors_hooks(lambda tensor: sizes.setdefault(tensor.data_ptr(), tensor), lambda tensor: tensor):
            next_token(model, collate(examples))
        return sum(tensor.numel() for place, tensor in sizes.items() if place not in weights)

    assert kept(Compute(activation_checkpointing=True)) < 0.3 * kept(Compute())


def test_bfloat16_rounds_products_and_keeps_weights(tiny, examples):
    losses, weights = trained(tiny, examples, Compute())
    rough, others = trained(tiny, examples, Compute(precision="bf16"))
    assert others.dtype == torch.float32
    assert rough == pytest.approx(losses, rel=0.02)
    assert not torch.equal(weights, others)


def test_a_tensor_that_nobody_shares_is_whole():
    tensor = torch.randn(3, 4)
    assert whole(tensor) is tensor
    assert torch.equal(on_whole(torch.neg)(tensor), -tensor)
