import pytest
import torch

import underdog.train.logprobs as logprobs
from underdog.train.logprobs import CHUNK, cross_entropy, target_logprobs

D, V = 6, 11
SIZES = [0, 1, 7, 8, 9, 16, 21]  # around multiples of a chunk of 8


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(logprobs, "CHUNK", 8)


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
    assert not entropy.requires_grad
    for ours, theirs in zip(
        torch.autograd.grad((found * upstream).sum(), (hidden, weight)),
        torch.autograd.grad((expected * upstream).sum(), (hidden, weight)),
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


@pytest.mark.parametrize("tokens", [CHUNK, CHUNK + 1])
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
