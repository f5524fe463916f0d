import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from underdog.recipe.schema import Optimizer
from underdog.train.optimizers import Muon, build_optimizers, orthogonal

SHAPES = [(16, 16), (16, 48), (48, 16), (1, 8), (8, 1), (128, 32)]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_updates_are_nearly_orthogonal(shape):
    """The quintic iteration leaves singular values in a band around 1, whatever they were."""
    for seed in range(15):
        values = torch.linalg.svdvals(orthogonal(random(*shape, seed=seed)))
        assert values.max() < 1.25
        assert values.median() > 0.65
    if shape != (16, 16):  # a random square matrix has one direction that is nearly lost
        assert values.min() > 0.6


@pytest.mark.parametrize("shape", SHAPES)
def test_the_singular_vectors_stay(shape):
    matrix = random(*shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ orthogonal(matrix) @ v.T
    torch.testing.assert_close(inner, inner.diag().diag(), atol=1e-3, rtol=0)


@given(st.floats(1e-3, 1e3), st.sampled_from(SHAPES))
def test_neither_scale_nor_transposition_matters(scale, shape):
    matrix = random(*shape)
    torch.testing.assert_close(orthogonal(matrix * scale), orthogonal(matrix), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(orthogonal(matrix.mT).mT, orthogonal(matrix), atol=1e-4, rtol=1e-4)


def test_a_gradient_of_nothing_moves_nothing():
    assert not orthogonal(torch.zeros(4, 8)).any()


@pytest.mark.parametrize("shape", SHAPES[:3] + SHAPES[5:])
def test_muon_steps_are_as_large_as_those_of_adamw(shape):
    """Updates of an RMS around 0.2 times the rate (Moonlight)."""
    weight = torch.nn.Parameter(torch.zeros(shape))
    weight.grad = random(*shape)
    muon = Muon([weight])
    muon.param_groups[0]["lr"] = 0.1
    muon.step()
    rms = weight.detach().square().mean().sqrt()
    assert rms == pytest.approx(0.02, rel=0.2)
    assert (weight.detach() * weight.grad).sum() < 0  # downhill


def test_muon_solves_a_toy_problem():
    target, inputs = random(16, 24), random(256, 24, seed=1)
    weight = torch.nn.Parameter(torch.zeros(16, 24))
    muon = Muon([weight])
    for step in range(150):
        loss = (inputs @ (weight - target).T).square().mean()
        weight.grad = None
        loss.backward()
        muon.param_groups[0]["lr"] = 0.3 * (1 - step / 150)
        muon.step()
    assert loss < 1e-3 * inputs.square().mean() * target.square().sum(1).mean()


def held(optimizers, model):
    """Names of the weights by the optimizer that holds them."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {
        type(optimizer).__name__: {names[id(weight)] for group in optimizer.param_groups for weight in group["params"]}
        for optimizer in optimizers
    }


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_muon_takes_the_matrices_inside_the_blocks(tiny, family, tied):
    model = tiny(family, tied)
    everything = dict(model.named_parameters())
    by_kind = held(build_optimizers(model, Optimizer(kind="muon")), model)
    inside = {name for name, weight in everything.items() if ".layers." in name and weight.ndim == 2}
    assert len(inside) == 2 * 7
    assert by_kind == {"Muon": inside, "AdamW": everything.keys() - inside}
    assert held(build_optimizers(model, Optimizer(kind="adamw")), model) == {"AdamW": everything.keys()}


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_weight_decay_spares_vectors(model, kind):
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    for optimizer in build_optimizers(model, Optimizer(kind=kind, weight_decay=0.5)):
        for group in optimizer.param_groups:
            group["lr"] = 0.1
        optimizer.step()
    for name, weight in model.named_parameters():
        expected = before[name] * (0.95 if weight.ndim == 2 else 1.0)
        torch.testing.assert_close(weight.detach(), expected, msg=name)


def test_a_weight_without_gradient_is_left_alone():
    weights = [torch.nn.Parameter(random(4, 4)) for _ in range(2)]
    weights[0].grad = random(4, 4, seed=1)
    before = weights[1].detach().clone()
    muon = Muon(weights, weight_decay=0.5)
    muon.param_groups[0]["lr"] = 0.1
    muon.step()
    assert torch.equal(weights[1], before)
    assert list(muon.state) == [weights[0]]
