"""The policy-gradient family: closed forms on single tokens, and TRL on fixed tensors."""

import math
from types import SimpleNamespace

import pytest
import torch
from trl import GRPOTrainer

import underdog.train.policy as policy
from underdog.recipe.reinforcement import PolicyLoss
from underdog.train.batch import Answer, Batch, Group, collate_groups
from underdog.train.objectives import policy_logprobs
from underdog.train.policy import PolicyGradient, divergence, mean_by_answer

LOW, HIGH = 0.2, 0.28


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
    sums = PolicyGradient(LOW, HIGH, kl=0.0)(model, batch)
    assert sums.loss.keys() == {"policy"}
    assert sums.loss["policy"].item() == pytest.approx(-gain, abs=1e-4)
    expected = gradients(model, of_coefficients(model, batch, [-slope, 0.0]))
    same(gradients(model, sums.loss["policy"]), expected, atol=1e-3)
    assert float(sums.watch["clipped"]) == (not 1 - LOW <= ratio <= 1 + HIGH)


def test_all_tokens_add_up(model, rollout, gradients, same):
    ratios, advantages, gains, slopes = (list(column) for column in zip(*CASES, strict=True))
    batch = rollout(ratios, advantages)
    loss = PolicyGradient(LOW, HIGH, kl=0.0)(model, batch).loss["policy"]
    assert loss.item() == pytest.approx(-sum(gains), abs=1e-3)
    same(gradients(model, loss), gradients(model, of_coefficients(model, batch, [-s for s in slopes])), atol=1e-3)


@pytest.mark.parametrize("distance", [-1.0, -0.1, 0.0, 0.1, 1.0])
def test_the_penalty_is_the_k3_estimator(model, rollout, gradients, same, distance):
    """q - log q - 1 with log q = log reference - log policy; its slope by the log-probability is 1 - q."""
    batch = rollout([1.0, 1.0], [0.0, 0.0], reference=distance)
    sums = PolicyGradient(LOW, HIGH, kl=0.5)(model, batch)
    k3 = math.exp(distance) - distance - 1
    assert sums.loss["kl"].item() == pytest.approx(0.5 * 2 * k3, abs=1e-5)
    assert float(sums.watch["kl_to_reference"]) == pytest.approx(2 * k3, abs=1e-5)
    slope = 0.5 * (1 - math.exp(distance))
    same(gradients(model, sums.loss["kl"]), gradients(model, of_coefficients(model, batch, [slope, slope])), atol=1e-3)


def test_without_advantage_only_the_penalty_pulls(model, rollout, gradients, same):
    batch = rollout([0.5, 1.0, 2.0], [0.0, 0.0, 0.0], reference=0.7)
    silent = PolicyGradient(LOW, HIGH, kl=0.0)(model, batch).loss
    assert all(not grad.any() for grad in gradients(model, sum(silent.values())).values())
    sums = PolicyGradient(LOW, HIGH, kl=0.5)(model, batch).loss
    same(
        gradients(model, sum(sums.values())),
        gradients(model, PolicyGradient(LOW, HIGH, kl=0.5)(model, batch).loss["kl"]),
        1e-6,
    )
    at_home = rollout([1.0, 1.0], [0.0, 0.0], reference=0.0)  # the policy is its own reference
    pull = gradients(model, sum(PolicyGradient(LOW, HIGH, kl=0.5)(model, at_home).loss.values()))
    assert all(grad.abs().max() < 1e-4 for grad in pull.values())


def test_what_is_watched_carries_no_gradient(model, rollout):
    sums = PolicyGradient(LOW, HIGH, kl=0.5)(model, rollout([1.0, 1.5], [1.0, -1.0], reference=0.1))
    assert sums.watch.keys() == {"entropy", "clipped", "off_sampler", "kl_to_reference"}
    assert not any(value.requires_grad for value in sums.watch.values())
    assert 0 < float(sums.watch["entropy"]) / 2 < math.log(40)


def test_the_temperature_is_that_of_the_sampler(model, rollout):
    batch = rollout([1.0, 1.0], [1.0, 1.0], temperature=0.6)
    same, other = (PolicyGradient(LOW, HIGH, temperature=t)(model, batch).loss["policy"].item() for t in (0.6, 1.0))
    assert same == pytest.approx(-2, abs=1e-4)
    assert other != pytest.approx(-2, abs=1e-2)


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_each_estimator_has_the_gradient_it_claims(estimator):
    """Over the policy's own distribution: k1's and k2's is that of the KL, exactly; k3's that of the reverse one."""
    scores, other = torch.randn(2, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits = scores.clone().requires_grad_()
    logp, logq = logits.log_softmax(-1), other.log_softmax(-1)
    ratio = (logp - logp.detach()).exp()
    estimate = (logp.detach().exp() * divergence(logq - logp, ratio, estimator)).sum()
    (found,) = torch.autograd.grad(estimate, logits)
    again = scores.clone().requires_grad_()
    logp = again.log_softmax(-1)
    if estimator == "k3":
        exact = (logq.exp() * (logq - logp)).sum()
    else:
        exact = (logp.exp() * (logp - logq)).sum()
    torch.testing.assert_close(found, torch.autograd.grad(exact, again)[0])


def test_the_mean_over_an_answer_is_given_to_each_of_its_tokens():
    found = mean_by_answer(torch.tensor([1.0, 3.0, 10.0, 5.0]), torch.tensor([0, 0, 2, 0]))
    assert found.tolist() == [3.0, 3.0, 10.0, 3.0]
    assert mean_by_answer(torch.empty(0), torch.empty(0, dtype=torch.int64)).tolist() == []


def test_the_entropy_bonus_pays_for_uncertainty(model, rollout, gradients, same):
    batch = rollout([1.0, 1.0], [0.0, 0.0])
    loss = PolicyGradient(LOW, HIGH, entropy_bonus=0.1)(model, batch).loss["entropy_bonus"]
    _, entropy, _ = policy_logprobs(model, batch, 1.0)
    assert loss.item() == pytest.approx(-0.1 * entropy.sum().item(), rel=1e-5)
    same(gradients(model, loss), gradients(model, -0.1 * entropy.sum()), 1e-6)


LENGTHS = [5, 2, 7, 1]
LONGEST = max(LENGTHS)
KINDS = {  # TRL's name and settings -> ours
    "grpo": ("grpo", "token", PolicyLoss(average="sequence")),
    "dapo": ("dapo", "token", PolicyLoss(average="token")),
    "dr_grpo": ("dr_grpo", "token", PolicyLoss(average="constant")),
    "gspo": ("grpo", "sequence", PolicyLoss(average="sequence", ratio="sequence")),
    "cispo": ("cispo", "token", PolicyLoss(average="token", surrogate="cispo")),
}


def trl_loss(loss_type, level, logprobs_ST, mask_ST, inputs, kl, correct):
    """TRL's own function on these log-probabilities; nothing else of its trainer runs."""
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    alone = SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x)
    vars(trainer).update(
        _get_per_token_logps_and_entropies=lambda *args, **kwargs: (logprobs_ST, torch.zeros_like(logprobs_ST), None),
        model=SimpleNamespace(training=False),
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        accelerator=alone,
        _metrics={"eval": {key: [] for key in TRL_METRICS}},
        loss_type=loss_type,
        importance_sampling_level=level,
        beta=kl,
        epsilon_low=LOW,
        epsilon_high=1 + HIGH if loss_type == "cispo" else HIGH,  # an absolute bound there
        max_completion_length=LONGEST,
        use_vllm=correct,
        vllm_importance_sampling_correction=correct,
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        _entropy_bonus_enabled=False,
    )
    return GRPOTrainer._compute_loss(trainer, None, inputs)


TRL_METRICS = ["kl", "entropy", "cispo_clip_ratio"]
TRL_METRICS += [f"clip_ratio/{name}" for name in ("low_mean", "high_mean", "region_mean", "low_min", "high_max")]


@pytest.mark.parametrize("correct", [False, True], ids=["", "corrected"])
@pytest.mark.parametrize("kl", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_trl(monkeypatch, kind, kl, correct):
    """Value and gradient by log-probability. Conventions: both use the mean over the answers of a step for `sequence`
    and `constant`; GSPO's loss is TRL's "grpo" at sequence level."""
    loss_type, level, settings = KINDS[kind]
    random = torch.Generator().manual_seed(3)
    S, mask = len(LENGTHS), torch.arange(LONGEST) < torch.tensor(LENGTHS)[:, None]
    old, wobble, sampler, reference = (
        torch.randn(S, LONGEST, generator=random) * scale for scale in (1, 0.3, 0.2, 0.5)
    )
    logprobs = (old + wobble).requires_grad_()
    advantages = torch.tensor([1.5, -0.7, -0.2, 0.9])
    weight = (old - (old + sampler)).exp().clamp(0.5, 2.0)
    inputs = {
        "prompt_ids": torch.zeros(S, 1, dtype=torch.int64),
        "prompt_mask": torch.ones(S, 1, dtype=torch.int64),
        "completion_ids": torch.zeros(S, LONGEST, dtype=torch.int64),
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": old + reference,
        "importance_sampling_ratio": weight,
        "num_items_in_batch": mask.sum(),
    }
    expected = trl_loss(loss_type, level, logprobs, mask, inputs, kl, correct)
    (slope,) = torch.autograd.grad(expected, logprobs)

    mine = (old + wobble)[mask].requires_grad_()
    share = {
        "token": torch.ones(S),
        "sequence": torch.tensor(LENGTHS).float().mean() / torch.tensor(LENGTHS),
        "constant": torch.full((S,), sum(LENGTHS) / S / LONGEST),
    }[settings.average]
    rows = torch.arange(S)[:, None].expand(S, LONGEST)
    extra = {
        "advantage": advantages[rows[mask]],
        "answer": rows[mask].float(),
        "share": share[rows[mask]],
        "sampled": (old + sampler if correct else old)[mask],
        "reference": (old + reference)[mask],
    } | ({"old": old[mask]} if correct else {})
    settings = settings.model_copy(update={"sampler_correction": [0.5, 2.0] if correct else None})
    everything = torch.arange(len(mine))
    batch = Batch(everything, everything, torch.ones(len(mine)), [], extra)
    monkeypatch.setattr(policy, "policy_logprobs", lambda *_: (mine, torch.zeros(len(mine)), everything))
    head = SimpleNamespace(lm_head=SimpleNamespace(weight=torch.zeros(1)))
    sums = PolicyGradient(LOW, HIGH, kl, kind=settings)(head, batch)
    found = sum(sums.loss.values()) / len(mine)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.autograd.grad(found, mine)[0], slope[mask], atol=1e-5, rtol=1e-5)
