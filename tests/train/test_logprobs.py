import pytest
import torch

import underdog.train.logprobs as logprobs
from underdog.train.logprobs import MOST_TOKENS, chunks, cross_entropy, target_logprobs

D, V = 6, 11
SIZES = [0, 1, 7, 8, 9, 16, 21]  # around multiples of a chunk of 8


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(logprobs, "MOST_TOKENS", 8)


def inputs(tokens, dtype=torch.float64):
    generator = torch.Generator().manual_seed(tokens)
    hidden = torch.randn(tokens, D, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, generator=generator, dtype=dtype, requires_grad=True)
    targets = torch.randint(V, (tokens,), generator=generator)
    weights = torch.rand(tokens, generator=generator, dtype=dtype) * (torch.rand(tokens, generator=generator) < 0.7)
    return hidden, weight, targets, weights


def plain(hidden, weight, temperature=1.0):
    return (hidden @ weight.T / temperature).log_softmax(-1)


@pytest.mark.parametrize("tokens", SIZES)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
def test_target_logprobs_are_those_of_plain_torch(small_chunks, tokens, temperature):
    hidden, weight, targets, upstream = inputs(tokens)
    found, entropy = target_logprobs(hidden, weight, targets, temperature)
    whole = plain(hidden, weight, temperature)
    expected = whole.gather(-1, targets[:, None]).squeeze(-1)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(entropy, -(whole.exp() * whole).sum(-1))
    uncertain = -(whole.exp() * whole).sum(-1)
    for mine, other in (
        ((found * upstream).sum(), (expected * upstream).sum()),
        ((entropy * upstream).sum(), (uncertain * upstream).sum()),
        ((found - entropy * upstream).sum(), (expected - uncertain * upstream).sum()),
    ):
        for ours, theirs in zip(
            torch.autograd.grad(mine, (hidden, weight), retain_graph=True),
            torch.autograd.grad(other, (hidden, weight), retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("tokens", SIZES)
def test_cross_entropy_is_that_of_plain_torch(small_chunks, tokens):
    hidden, weight, targets, weights = inputs(tokens)
    found = cross_entropy(hidden, weight, targets, weights)[0]
    expected = -(plain(hidden, weight).gather(-1, targets[:, None]).squeeze(-1) * weights).sum()
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(
        torch.autograd.grad(found * 3, (hidden, weight)),
        torch.autograd.grad(expected * 3, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("tokens", SIZES)
def test_the_z_loss_is_that_of_plain_torch(small_chunks, tokens):
    hidden, weight, targets, weights = inputs(tokens)
    found, squares = cross_entropy(hidden, weight, targets, weights, z=0.1)
    plainly = -(plain(hidden, weight).gather(-1, targets[:, None]).squeeze(-1) * weights).sum()
    expected = 0.1 * ((hidden @ weight.T).logsumexp(-1).square() * weights).sum()
    torch.testing.assert_close((found, squares), (plainly, expected))
    for ours, theirs in zip(
        torch.autograd.grad(found + squares, (hidden, weight)),
        torch.autograd.grad(plainly + expected, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("tokens", [MOST_TOKENS, MOST_TOKENS + 1])
def test_real_chunks_in_float32(tokens):
    hidden, weight, targets, weights = inputs(tokens, torch.float32)
    expected = plain(hidden, weight).gather(-1, targets[:, None]).squeeze(-1)
    torch.testing.assert_close(target_logprobs(hidden, weight, targets)[0], expected)
    torch.testing.assert_close(cross_entropy(hidden, weight, targets, weights)[0], -(expected * weights).sum())


def test_large_scores_do_not_overflow():
    hidden, weight, targets, weights = inputs(9, torch.float32)
    with torch.no_grad():
        hidden *= 1e4
    found, entropy = target_logprobs(hidden, weight, targets)
    loss = cross_entropy(hidden, weight, targets, weights)[0]
    (loss - found.sum()).backward()
    assert all(torch.isfinite(x).all() for x in (found, entropy, loss, hidden.grad, weight.grad))


def test_the_inputs_are_left_alone(small_chunks):
    hidden, weight, targets, weights = inputs(20)
    before = [x.detach().clone() for x in (hidden, weight, targets, weights)]
    found, _ = target_logprobs(hidden, weight, targets, 0.5)
    (found.sum() + cross_entropy(hidden, weight, targets, weights)[0]).backward()
    assert all(torch.equal(x.detach(), y) for x, y in zip((hidden, weight, targets, weights), before, strict=True))


def cross_entropy_sum(hidden, weight, targets, weights):
    return cross_entropy(hidden, weight, targets, weights)[0]


def target_sum(hidden, weight, targets, weights):
    return (target_logprobs(hidden, weight, targets)[0] * weights).sum()


@pytest.mark.parametrize(("vocabulary", "size"), [(4096, 1024), (16_384, 1024), (166_000, 101), (10**9, 1)])
def test_a_large_vocabulary_makes_chunks_small(vocabulary, size):
    found = list(chunks(3 * size + 1, vocabulary))
    assert [one.stop - one.start for one in found] == [size] * 4
    assert [one.start for one in found] == [0, size, 2 * size, 3 * size]


@pytest.mark.parametrize("function", [cross_entropy_sum, target_sum])
def test_bfloat16_hidden_states_give_float32_sums(function):
    """Also where the weights are float32: what a step computes under autocast."""
    torch.manual_seed(3)
    hidden, weight = torch.randn(20, 16), torch.randn(50, 16)
    targets, weights = torch.randint(50, (20,)), torch.rand(20)
    exact, rough = (
        [tensor.detach().clone().requires_grad_() for tensor in (hidden.to(dtype), weight)]
        for dtype in (torch.float32, torch.bfloat16)
    )
    losses = [function(*tensors, targets, weights) for tensors in (exact, rough)]
    assert losses[1].dtype == torch.float32
    torch.testing.assert_close(*losses, rtol=0.02, atol=0.1)
    for loss in losses:
        loss.backward()
    assert rough[0].grad.dtype == torch.bfloat16 and rough[1].grad.dtype == torch.float32
    for one, other in zip(exact, rough, strict=True):
        torch.testing.assert_close(one.grad, other.grad.float(), rtol=0.05, atol=0.1)
