import math

import pytest
import torch

from underdog.model.weights import save_pretrained
from underdog.train.batch import Answer, Group, collate, collate_groups
from underdog.train.objectives import Grpo, NextToken, next_token, policy_logprobs, taught_hidden

LOW, HIGH = 0.2, 0.28


def test_next_token_is_the_loss_of_transformers(tiny, tokenizer, examples, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = tiny()
    save_pretrained(ours, tokenizer, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    longest = max(len(example.ids) for example in examples)
    ids, labels, seen = (torch.full((len(examples), longest), fill) for fill in (0, -100, 0))
    for row, example in enumerate(examples):
        here = slice(len(example.ids))
        ids[row, here], seen[row, here] = torch.tensor(example.ids), 1
        labels[row, here] = torch.tensor(example.ids).where(torch.tensor(example.mask), -100)
    expected = theirs(ids, attention_mask=seen, labels=labels).loss
    expected.backward()

    batch = collate(examples)
    found = next_token(ours, batch).loss["cross_entropy"] / batch.weights_N.sum()
    found.backward()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    theirs_by_name = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight.grad, theirs_by_name[name].grad, atol=2e-3, rtol=1e-3)


def test_tokens_without_weight_teach_nothing(model, examples, gradients):
    batch = collate(examples)
    batch.weights_N.zero_()
    loss = next_token(model, batch).loss["cross_entropy"]
    assert loss.item() == 0
    assert all(not grad.any() for grad in gradients(model, loss).values())


def test_a_z_loss_is_a_component_of_its_own(model, examples, gradients, same):
    batch = collate(examples)
    plain, both = next_token(model, batch).loss, NextToken(z_loss=0.01)(model, batch).loss
    assert set(plain) == {"cross_entropy"} and set(both) == {"cross_entropy", "z_loss"}
    assert both["cross_entropy"].item() == plain["cross_entropy"].item()
    hidden, taught = taught_hidden(model, batch)
    z = (0.01 * model.logits(hidden).logsumexp(-1).square() * batch.weights_N[taught]).sum()
    assert both["z_loss"].item() == pytest.approx(z.item(), rel=1e-5)
    expected = gradients(model, next_token(model, batch).loss["cross_entropy"] + z)
    same(gradients(model, sum(NextToken(z_loss=0.01)(model, batch).loss.values())), expected, atol=1e-3)


@pytest.fixture
def rollout(model):
    """(ratios, advantages) of single tokens -> a batch whose tokens have exactly these, and their log-probabilities
    under the model. `reference` is as far below them as it says."""

    def make(ratios, advantages, reference=0.0, temperature=1.0):
        ids = torch.arange(1, len(ratios) + 1).tolist()
        batch = collate_groups([Group([3, 1, 4], [Answer(ids, {"advantage": advantages})])])
        with torch.no_grad():
            logprobs, _, taught = policy_logprobs(model, batch, temperature)
        empty = torch.zeros(batch.tokens)
        batch.extra["sampled"] = empty.index_copy(0, taught, logprobs - torch.tensor(ratios).log())
        batch.extra["reference"] = empty.index_copy(0, taught, logprobs + reference)
        return batch

    return make


def of_coefficients(model, batch, coefficients):
    """The sum of coefficient * log-probability: a loss whose gradient is what the coefficients say."""
    return (policy_logprobs(model, batch, 1.0)[0] * torch.tensor(coefficients)).sum()


CASES = [  # ratio, advantage, gain, slope of the gain by the log-probability
    (1.0, 2.0, 2.0, 2.0),
    (1.0, -2.0, -2.0, -2.0),
    (1.2, 1.0, 1.2, 1.2),  # inside the upper clip
    (1.5, 1.0, 1 + HIGH, 0.0),  # likelier already, and good: clipped
    (1.5, -1.0, -1.5, -1.5),  # likelier, and bad: taken back in full
    (0.9, -1.0, -0.9, -0.9),  # inside the lower clip
    (0.5, -1.0, -(1 - LOW), 0.0),  # less likely already, and bad: clipped
    (0.5, 1.0, 0.5, 0.5),  # less likely, and good: brought back
    (1.5, 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize("case", CASES)
def test_the_policy_gain_is_clipped_on_both_sides(model, rollout, gradients, same, case):
    ratio, advantage, gain, slope = case
    batch = rollout([ratio, 1.0], [advantage, 0.0])
    sums = Grpo(LOW, HIGH, kl=0.0)(model, batch)
    assert sums.loss.keys() == {"policy"}
    assert sums.loss["policy"].item() == pytest.approx(-gain, abs=1e-4)
    expected = gradients(model, of_coefficients(model, batch, [-slope, 0.0]))
    same(gradients(model, sums.loss["policy"]), expected, atol=1e-3)
    assert float(sums.watch["clipped"]) == (not 1 - LOW <= ratio <= 1 + HIGH)


def test_all_tokens_add_up(model, rollout, gradients, same):
    ratios, advantages, gains, slopes = (list(column) for column in zip(*CASES, strict=True))
    batch = rollout(ratios, advantages)
    loss = Grpo(LOW, HIGH, kl=0.0)(model, batch).loss["policy"]
    assert loss.item() == pytest.approx(-sum(gains), abs=1e-3)
    same(gradients(model, loss), gradients(model, of_coefficients(model, batch, [-s for s in slopes])), atol=1e-3)


@pytest.mark.parametrize("distance", [-1.0, -0.1, 0.0, 0.1, 1.0])
def test_the_penalty_is_the_k3_estimator(model, rollout, gradients, same, distance):
    """q - log q - 1 with log q = log reference - log policy; its slope by the log-probability is 1 - q."""
    batch = rollout([1.0, 1.0], [0.0, 0.0], reference=distance)
    sums = Grpo(LOW, HIGH, kl=0.5)(model, batch)
    k3 = math.exp(distance) - distance - 1
    assert sums.loss["kl"].item() == pytest.approx(0.5 * 2 * k3, abs=1e-5)
    assert float(sums.watch["kl_to_reference"]) == pytest.approx(2 * k3, abs=1e-5)
    slope = 0.5 * (1 - math.exp(distance))
    same(gradients(model, sums.loss["kl"]), gradients(model, of_coefficients(model, batch, [slope, slope])), atol=1e-3)


def test_without_advantage_only_the_penalty_pulls(model, rollout, gradients, same):
    batch = rollout([0.5, 1.0, 2.0], [0.0, 0.0, 0.0], reference=0.7)
    silent = Grpo(LOW, HIGH, kl=0.0)(model, batch).loss
    assert all(not grad.any() for grad in gradients(model, sum(silent.values())).values())
    sums = Grpo(LOW, HIGH, kl=0.5)(model, batch).loss
    same(gradients(model, sum(sums.values())), gradients(model, Grpo(LOW, HIGH, kl=0.5)(model, batch).loss["kl"]), 1e-6)
    at_home = rollout([1.0, 1.0], [0.0, 0.0], reference=0.0)  # the policy is its own reference
    pull = gradients(model, sum(Grpo(LOW, HIGH, kl=0.5)(model, at_home).loss.values()))
    assert all(grad.abs().max() < 1e-4 for grad in pull.values())


def test_what_is_watched_carries_no_gradient(model, rollout):
    sums = Grpo(LOW, HIGH, kl=0.5)(model, rollout([1.0, 1.5], [1.0, -1.0], reference=0.1))
    assert sums.watch.keys() == {"entropy", "clipped", "kl_to_reference"}
    assert not any(value.requires_grad for value in sums.watch.values())
    assert 0 < float(sums.watch["entropy"]) / 2 < math.log(40)


def test_the_temperature_is_that_of_the_sampler(model, rollout):
    batch = rollout([1.0, 1.0], [1.0, 1.0], temperature=0.6)
    assert float(Grpo(LOW, HIGH, 0.0, temperature=0.6)(model, batch).loss["policy"]) == pytest.approx(-2, abs=1e-4)
    assert float(Grpo(LOW, HIGH, 0.0, temperature=1.0)(model, batch).loss["policy"]) != pytest.approx(-2, abs=1e-2)
