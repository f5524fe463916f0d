import pytest
import torch

from underdog.model.attention import Packed, Span
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Model

FAMILIES = pytest.mark.parametrize("family", ["llama", "qwen3"])


def hidden(model, ids):
    return model(ids, Packed([Span(0, len(ids))]))


@pytest.mark.parametrize(
    ("family", "tied", "expected"),
    [
        # embedding 500·64; a layer: queries and output 2·64·64, keys and values 2·64·32, feed-forward 3·64·96,
        # norms 2·64; the last norm 64
        ("llama", True, 500 * 64 + 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64) + 64),
        ("llama", False, 2 * 500 * 64 + 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64) + 64),
        ("qwen3", True, 500 * 64 + 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64 + 2 * 16) + 64),
    ],
)
def test_parameter_count(tiny, family, tied, expected):
    assert tiny(family, tied).parameter_count() == expected


def test_initial_weights_are_a_function_of_the_seed():
    config = ModelConfig.from_recipe(Model(), vocabulary=1000)
    first, same, other = (Decoder(config).initialise(seed).state_dict() for seed in (1, 1, 2))
    for name, weight in first.items():
        assert torch.equal(weight, same[name])
        assert torch.equal(weight, other[name]) == (weight.ndim == 1), name  # norms begin at one


def test_what_writes_into_the_residual_stream_begins_small():
    """So that the stream's size does not grow with depth: 1 / sqrt(2 · 8) of the other matrices."""
    model = Decoder(ModelConfig.from_recipe(Model(layers=8), vocabulary=1000)).initialise(1)
    for block in model.model.layers:
        attention, mlp = block.self_attn, block.mlp
        for writes, reads in ((attention.o_proj, attention.q_proj), (mlp.down_proj, mlp.up_proj)):
            assert (writes.weight.std() / reads.weight.std()).item() == pytest.approx(1 / 4, rel=0.03)
        assert (block.input_layernorm.weight == 1).all()


@FAMILIES
@pytest.mark.parametrize("tied", [True, False])
def test_gradient_reaches_every_parameter(tiny, family, tied):
    model = tiny(family, tied)
    ids = torch.arange(0, 500, 7)
    torch.nn.functional.cross_entropy(model.logits(hidden(model, ids[:-1])), ids[1:]).backward()
    for name, weight in model.named_parameters():
        assert weight.grad.isfinite().all() and weight.grad.abs().max() > 0, name


@FAMILIES
def test_gradient_is_the_slope_of_the_loss(tiny, family):
    """In float64 along a random direction: what the hand-written backward passes say against what the loss does."""
    model = tiny(family).double()
    ids = torch.arange(0, 500, 23)
    generator = torch.Generator().manual_seed(0)
    directions = [torch.randn(weight.shape, generator=generator).double() for weight in model.parameters()]

    def loss():
        return torch.nn.functional.cross_entropy(model.logits(hidden(model, ids[:-1])), ids[1:])

    gradients = torch.autograd.grad(loss(), list(model.parameters()))
    slope = sum((gradient * direction).sum() for gradient, direction in zip(gradients, directions, strict=True))
    values = []
    with torch.no_grad():
        for step in (1e-6, -2e-6):
            for weight, direction in zip(model.parameters(), directions, strict=True):
                weight += step * direction
            values.append(loss())
    assert slope.item() == pytest.approx((values[0] - values[1]).item() / 2e-6, rel=1e-3)


def test_the_rope_base_matters_from_the_second_token_on(tiny):
    model = tiny()
    ids = torch.arange(20)
    with torch.no_grad():
        before = hidden(model, ids)
        model.set_rope_base(100.0)
        after = hidden(model, ids)
    assert model.config.rope_base == 100.0
    assert torch.equal(before[0], after[0])
    assert ((before - after)[1:].abs().amax(-1) > 1e-4).all()


@FAMILIES
def test_only_distances_between_positions_matter(tiny, family):
    model, ids = tiny(family), torch.arange(30)
    near, far = Packed([Span(0, 30)]), Packed([Span(0, 30)])
    far.positions = far.positions + 100
    spread = Packed([Span(0, 30)])
    spread.positions = spread.positions * 2
    with torch.no_grad():
        expected = model(ids, near)
        torch.testing.assert_close(model(ids, far), expected, atol=1e-3, rtol=0)
        assert (model(ids, spread) - expected).abs().max() > 0.1
