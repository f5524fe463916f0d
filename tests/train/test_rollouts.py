import math
import threading
from types import SimpleNamespace

import pytest
import torch

import underdog.verify.registry as registry
from underdog.errors import UserError
from underdog.generate.engine import Completion, Engine
from underdog.generate.interface import Ending, Sampling
from underdog.recipe.reinforcement import Reinforce, Shaping
from underdog.tokens.messages import Message
from underdog.train.batch import Answer, Group, collate_groups
from underdog.train.objectives import policy_logprobs
from underdog.train.policy import PolicyGradient
from underdog.train.pool import Pool
from underdog.train.rewards import advantages
from underdog.train.rollouts import Sampler, begin_judging, groups, roll_out, share_out
from underdog.train.watch import describe
from underdog.verify.problem import Problem, Verdict


def problem(name, verifier="always-wrong"):
    return Problem(name, (Message("user", name),), verifier, {"name": name}, task="made-up")


@pytest.fixture
def verifiers(monkeypatch):
    """One that is never satisfied, one that always is, one that is by the parity of the answer's length."""
    registry.get_verifier("number")  # the real ones are there before they are copied
    monkeypatch.setattr(registry, "_VERIFIERS", dict(registry._VERIFIERS))
    registry.verifier("always-right")(lambda answer, data: Verdict.right("right"))
    registry.verifier("always-wrong")(lambda answer, data: Verdict.wrong("wrong"))
    registry.verifier("parity")(lambda answer, data: Verdict.share(float(len(answer) % 2), "odd"))


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
        one = Sampler(Engine(policy, tokenizer.turn_end), tokenizer, seed)
        return SimpleNamespace(
            collect=lambda pool, step: one.collect(pool, Reinforce(**settings), step),
            score=lambda problems, samples=2: one.score(problems, Reinforce(**settings), samples),
        )

    return make


def pool(*kinds):
    """Problems judged by these verifiers, in this order."""
    made = Pool([problem(f"{i} {kind}", kind) for i, kind in enumerate(kinds)], 1, {})
    made._decks[""] = range(10_000)
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
    batch = collate_groups(groups(seen, Reinforce(), 0))
    found, _, taught = policy_logprobs(policy, batch, temperature)
    assert len(taught) == sum(len(one.ids) for rollout in seen for one in rollout.completions)
    torch.testing.assert_close(batch.extra["sampled"][taught], found.detach(), atol=1e-4, rtol=0)
    sums = PolicyGradient(0.2, 0.28, 0.0, temperature)(policy, batch)
    assert sums.watch["clipped"].item() == 0
    assert sums.loss["policy"].item() == pytest.approx(-batch.extra["advantage"].sum().item(), abs=0.05)


def test_a_group_carries_its_figures_by_token(sampler):
    _, (rollout, *_) = sampler(dynamic_sampling=False).collect(pool(*["parity"] * 4), 0)
    (group,) = groups([rollout], Reinforce(), 0)
    assert group.prompt == rollout.prompt
    (expected,) = advantages([rollout.rewards], "group")
    for answer, completion, advantage in zip(group.answers, rollout.completions, expected, strict=True):
        assert answer.ids == completion.ids
        assert answer.extra == {"advantage": [advantage] * len(answer.ids), "sampled": completion.logprobs}


def test_answers_that_ran_into_the_limit_can_be_left_out(sampler):
    _, seen = sampler(dynamic_sampling=False, prompts=8).collect(pool(*["parity"] * 8), 0)
    masked = Reinforce(shaping=Shaping(mask_truncated=True))
    endings = [one.ending for rollout in seen for one in rollout.completions]
    assert 0 < endings.count(Ending.TRUNCATED) < len(endings)
    assert sum(len(group.answers) for group in groups(seen, masked, 0)) == endings.count(Ending.STOPPED)
    assert sum(len(group.answers) for group in groups(seen, Reinforce(), 0)) == len(endings)


def test_shares_turn_the_mean_over_tokens_into_the_one_asked_for():
    """Of a value per token, over two groups of three answers in all."""
    values = [[1.0, 2.0], [4.0], [3.0, 5.0, 9.0]]
    one, two, three = (Answer([7] * len(v), {"value": v}) for v in values)
    made = [Group([1], [one, two]), Group([1], [three])]

    def mean(average):
        answers = [answer for group in share_out(made, average, limit=4) for answer in group.answers]
        pairs = [pair for a in answers for pair in zip(a.extra["value"], a.extra.get("share", [1] * 9), strict=False)]
        return sum(value * share for value, share in pairs) / len(pairs)

    assert mean("token") == pytest.approx(24 / 6)
    assert mean("sequence") == pytest.approx((1.5 + 4 + 17 / 3) / 3)
    assert mean("constant") == pytest.approx(24 / (3 * 4))


def test_a_truncated_answer_earns_nothing(tokenizer, verifiers):
    ids = tokenizer.encode("abc")
    for ending, reward in ((Ending.STOPPED, 1.0), (Ending.TRUNCATED, 0.0)):
        completion = Completion(ids, [0.0] * len(ids), ending)
        with registry.Judging() as judging:
            verdict = begin_judging(judging, problem("x", "always-right"), completion, tokenizer)()
        assert verdict.reward == reward
    assert "limit" in verdict.detail


def test_an_answer_is_judged_while_others_are_sampled(tokenizer, verifiers):
    """The engine goes on only once the first answer's judge has begun, in another thread; verdicts stay in place."""
    begun = threading.Event()

    def judge(answer, data):
        begun.set()
        return Verdict.share(float(answer == "b"), answer)

    registry.verifier("apart", apart=True)(judge)

    class Waiting:
        def answers(self, prompts, sampling, n, place):
            for index, text in ((1, "a"), (0, "b"), (1, "b"), (0, "a")):
                ids = tokenizer.encode(text)
                yield index, Completion(ids, [0.0] * len(ids), Ending.STOPPED)
                assert begun.wait(20)

    rollouts = roll_out(Waiting(), tokenizer, [problem("0", "apart"), problem("1", "apart")], Sampling(), 2)
    assert [[verdict.detail for verdict in rollout.verdicts] for rollout in rollouts] == [["b", "a"], ["a", "b"]]
    assert [rollout.rewards for rollout in rollouts] == [[1, 0], [0, 1]]


def test_a_verifier_that_cannot_work_ends_the_rollouts(sampler, verifiers):
    def judge(answer, data):
        raise UserError("no sandbox")

    registry.verifier("apart", apart=True)(judge)
    with pytest.raises(UserError, match="no sandbox"):
        sampler().collect(pool(*["apart"] * 8), step=0)
