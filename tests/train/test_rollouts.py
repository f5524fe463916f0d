import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import underdog.verify.registry as registry
from underdog.generate.engine import Completion, Engine
from underdog.generate.interface import Ending
from underdog.recipe.schema import Reinforce
from underdog.tokens.messages import Message
from underdog.train.batch import collate_groups
from underdog.train.objectives import Grpo, policy_logprobs
from underdog.train.pool import Pool
from underdog.train.rollouts import Rollout, Sampler, advantages, describe, judge
from underdog.verify.problem import Problem, Verdict

REWARDS = st.lists(st.floats(0, 1), min_size=2, max_size=16)


def test_advantages_are_standard_scores_of_the_group():
    assert advantages([1, 0, 0, 0]) == pytest.approx([math.sqrt(3), *[-1 / math.sqrt(3)] * 3])
    assert advantages([1, 0]) == pytest.approx([1, -1])


@given(REWARDS)
def test_advantages_have_mean_0_and_spread_1(rewards):
    found = advantages(rewards)
    if max(rewards) == min(rewards):
        assert not any(abs(one) > 1 for one in found)
    elif statistics.pstdev(rewards) > 1e-6:
        assert statistics.fmean(found) == pytest.approx(0, abs=1e-6)
        assert statistics.pstdev(found) == pytest.approx(1, abs=1e-6)
        better = [(found[i], found[j]) for i, a in enumerate(rewards) for j, b in enumerate(rewards) if a <= b]
        assert all(one <= other for one, other in better)


@given(st.floats(0, 1), st.integers(2, 16))
def test_equal_rewards_teach_nothing(reward, answers):
    """Partial rewards too: 0.1 three times has a mean that is not 0.1."""
    rollout = Rollout(problem("x"), [1], [], [Verdict(reward, "")] * answers)
    assert not rollout.informative
    assert advantages(rollout.rewards) == [0.0] * answers


def problem(name, verifier="always-wrong"):
    return Problem(name, (Message("user", name),), verifier, {"name": name}, task="made-up")


@pytest.fixture
def verifiers(monkeypatch):
    """One that is never satisfied, one that always is, one that is by the parity of the answer's length."""
    monkeypatch.setattr(registry, "_VERIFIERS", dict(registry._VERIFIERS))
    registry.verifier("always-right")(lambda answer, data: Verdict(1.0, "right"))
    registry.verifier("always-wrong")(lambda answer, data: Verdict(0.0, "wrong"))
    registry.verifier("parity")(lambda answer, data: Verdict(float(len(answer) % 2), "odd"))


@pytest.fixture
def policy(tiny, tokenizer):
    """A model that closes its turn now and then."""
    model = tiny(tied=False, vocabulary=tokenizer.vocabulary, width=32, heads=2, kv_heads=1, ffn=48, context=96)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.turn_end] *= 4
    return model


@pytest.fixture
def sampler(policy, tokenizer, verifiers):
    def make(seed=1, **settings):
        settings = {"prompts": 4, "rollouts": 6, "max_new_tokens": 8, **settings}
        return Sampler(Engine(policy, tokenizer.turn_end), tokenizer, Reinforce(**settings), seed)

    return make


def pool(*kinds):
    """Problems judged by these verifiers, in this order."""
    made = Pool([problem(f"{i} {kind}", kind) for i, kind in enumerate(kinds)], 1, {})
    made._order = range(10_000)
    return made


def test_without_dynamic_sampling_every_group_is_kept(sampler):
    kept, seen = sampler(dynamic_sampling=False).collect(pool(*["always-right", "parity"] * 8), step=0)
    assert kept == seen
    assert [rollout.problem.verifier for rollout in seen] == ["always-right", "parity"] * 2
    assert all(len(rollout.completions) == len(rollout.verdicts) == 6 for rollout in seen)


def test_groups_of_equal_rewards_are_replaced(sampler):
    problems = pool(*["always-wrong"] * 3, *["parity"] * 100)
    kept, seen = sampler().collect(problems, step=0)
    assert len(kept) == 4
    assert all(rollout.informative and rollout.problem.verifier == "parity" for rollout in kept)
    assert sum(rollout.problem.verifier == "always-wrong" for rollout in seen) == 3
    # a second round draws what the share of informative groups so far calls for
    first = [rollout for rollout in seen[:4] if rollout.informative]
    assert len(seen) >= 4 + math.ceil((4 - len(first)) / max(len(first) / 4, 0.25))
    assert problems._memory["position"] == len(seen)


def test_a_step_begins_with_as_many_problems_as_the_last_one_needed(sampler):
    problems = pool(*["always-wrong", "parity"] * 100)
    _, first = sampler().collect(problems, step=0)
    share = problems.informative
    assert share < 0.75 and len(first) > 4
    kept, second = sampler().collect(problems, step=1)
    assert len(second) >= math.ceil(4 / share) and len(kept) <= 4


def test_a_step_gives_up_after_three_rounds(sampler):
    kept, seen = sampler().collect(pool(*["always-wrong"] * 100), step=0)
    assert kept == []
    assert len(seen) == 4 + 16 + 16
    summary = describe(seen, kept)
    assert (summary["reward"], summary["kept"]) == (0, 0)


def test_rounds_and_steps_draw_differently_and_the_same_again_after_a_resume(sampler):
    def ids(step, seed=1):
        _, seen = sampler(seed).collect(pool(*["always-wrong"] * 40), step)
        return [[one.ids for one in rollout.completions] for rollout in seen[:4]]

    assert ids(0) == ids(0)
    assert ids(0) != ids(1)
    assert ids(0) != ids(0, seed=2)


def test_the_score_looks_at_the_same_draws_every_time(sampler):
    problems = [problem(str(i), "parity") for i in range(10)]
    one = sampler(temperature=0.7)
    assert one.score(problems, samples=32) == one.score(problems, samples=32)
    assert 0 < one.score(problems, samples=32) < 1
    assert one.score([problem("a", "always-wrong")]) == 0


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_sampler_and_the_trainer_agree(sampler, policy, temperature):
    """Tokens in, tokens out: the ratio is 1 before the first update."""
    _, seen = sampler(temperature=temperature, dynamic_sampling=False, prompts=8).collect(pool(*["parity"] * 8), 0)
    batch = collate_groups([rollout.group() for rollout in seen])
    found, _, taught = policy_logprobs(policy, batch, temperature)
    assert len(taught) == sum(len(one.ids) for rollout in seen for one in rollout.completions)
    torch.testing.assert_close(batch.extra["sampled"][taught], found.detach(), atol=1e-4, rtol=0)
    sums = Grpo(0.2, 0.28, 0.0, temperature)(policy, batch)
    assert sums.watch["clipped"].item() == 0
    assert sums.loss["policy"].item() == pytest.approx(-batch.extra["advantage"].sum().item(), abs=0.05)


def test_a_group_carries_its_figures_by_token(sampler):
    _, (rollout, *_) = sampler(dynamic_sampling=False).collect(pool(*["parity"] * 4), 0)
    group = rollout.group()
    assert group.prompt == rollout.prompt
    expected = advantages(rollout.rewards)
    for answer, completion, advantage in zip(group.answers, rollout.completions, expected, strict=True):
        assert answer.ids == completion.ids
        assert answer.extra == {"advantage": [advantage] * len(answer.ids), "sampled": completion.logprobs}


def test_a_truncated_answer_earns_nothing(tokenizer, verifiers):
    ids = tokenizer.encode("abc")
    for ending, reward in ((Ending.STOPPED, 1.0), (Ending.TRUNCATED, 0.0)):
        verdict = judge(problem("x", "always-right"), Completion(ids, [0.0] * len(ids), ending), tokenizer)
        assert verdict.reward == reward
    assert "limit" in verdict.detail


def test_the_summary_of_a_step():
    def rollout(rewards, endings, lengths):
        pairs = zip(endings, lengths, strict=True)
        completions = [Completion([1] * length, [0.0] * length, ending) for ending, length in pairs]
        return Rollout(problem("x"), [1], completions, [Verdict(reward, "") for reward in rewards])

    one = rollout([1.0, 0.0], [Ending.STOPPED, Ending.TRUNCATED], [2, 8])
    other = rollout([1.0, 1.0], [Ending.STOPPED, Ending.STOPPED], [4, 2])
    assert describe([one, other], [one]) == {"reward": 0.75, "kept": 0.5, "length": 4.0, "truncated": 0.25}
