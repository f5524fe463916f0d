from contextlib import contextmanager
from statistics import mean

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.stub_vllm import served

from underdog.errors import UserError
from underdog.generate.engine import Completion, Engine
from underdog.generate.interface import Ending
from underdog.model.weights import load_pretrained
from underdog.recipe.common import Optimizer
from underdog.recipe.reinforcement import EntropyBonus, PolicyLoss, Profile, Reinforce, ReinforceStage, Reset
from underdog.stages.reinforce import Loop, batches, minibatches, reinforce
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.objectives import policy_logprobs
from underdog.train.policy import PolicyGradient
from underdog.train.pool import Pool
from underdog.train.resume import Resumable
from underdog.train.rollouts import Rollout, Sampler, groups
from underdog.train.trainer import Trainer
from underdog.verify import environment
from underdog.verify.problem import Verdict
from underdog.verify.problem_files import load_problems, write_problems


def trainer(model):
    return Trainer(model, Optimizer(), PolicyGradient(0.2, 0.28))


def weights(artifact):
    return torch.cat([weight.flatten() for weight in load_pretrained(artifact.path).parameters()]).detach()


@pytest.fixture
def improve(start, problems, make):
    def run(seed=1, **settings):
        asked = {"steps": 2, "prompts": 3, "rollouts": 4, "max_new_tokens": 12, "validate_every": 1}
        return make(reinforce, Reinforce(**{**asked, **settings}), seed, start, problems)

    return run


def test_it_logs_every_step_and_every_look(improve):
    artifact = improve(steps=4, validate_every=2, dynamic_sampling=False)
    log = artifact.log()
    assert [record["step"] for record in log if "validation" in record] == [0, 2, 4]
    steps = [record for record in log if "reward" in record]
    assert [record["step"] for record in steps] == [0, 1, 2, 3]
    assert {"reward", "kept", "length", "truncated", "policy", "entropy", "clipped", "kl", "loss"} <= steps[0].keys()
    assert artifact.metrics["steps"] == 4
    assert artifact.metrics["problems_drawn"] == 4 * 3


def test_it_learns_what_is_rewarded(improve):
    log = improve(steps=15, prompts=8, lr=3e-3, kl=0.0, seed=3).log()
    rewards = [record["reward"] for record in log if "reward" in record]
    assert mean(rewards[-5:]) > mean(rewards[:3]) + 0.3


def test_seeds_and_nothing_else_change_the_weights(improve, start):
    one, same, other = (weights(improve(seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, weights(start))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("optimizer", ["clear", "keep"])
def test_resets_move_the_reference(improve, optimizer):
    """At the policy itself the penalty is 0; a reset brings it back there."""
    reset = Reset(every=2, on_stall=False, optimizer=optimizer)
    artifact = improve(steps=5, validate_every=3, reset=reset, kl=0.01, lr=1e-3, minibatches=1)
    log = artifact.log()
    assert [record["step"] for record in log if "reset" in record] == [2, 4]
    distance = {record["step"]: record["kl_to_reference"] for record in log if "kl_to_reference" in record}
    assert distance[0] == pytest.approx(0, abs=1e-6)
    assert distance[2] == pytest.approx(0, abs=1e-6) == distance[4]
    assert distance[3] > 1e-5


def test_without_a_penalty_there_is_no_reference(improve):
    log = improve(steps=1, kl=0.0).log()
    assert not any("kl_to_reference" in record for record in log)


def test_a_reset_by_kl_is_told_with_the_step_that_it_follows(improve):
    """The state before the next step holds it: a run that goes on from there keeps the line."""
    log = improve(steps=3, reset=Reset(every=0, on_stall=False, on_kl=1e-9), kl=0.01, lr=1e-3, minibatches=2).log()
    steps = [record["step"] for record in log if "reset" in record]
    assert steps == [record["step"] for record in log if record.get("kl_to_reference", 0) > 1e-9] != []


@pytest.mark.parametrize("advantage", ["group", "centred", "batch"])
def test_a_step_without_informative_groups_trains_nothing(improve, start, advantage):
    """Answers of one token, the closing one or any other, earn nothing, all of them."""
    artifact = improve(max_new_tokens=1, loss=PolicyLoss(advantage=advantage))
    assert [record["kept"] for record in artifact.log() if "kept" in record] == [0, 0]
    assert torch.equal(weights(artifact), weights(start))


@given(st.lists(st.integers(), max_size=40), st.integers(1, 8))
def test_minibatches_share_out_all_rollouts_evenly(rollouts, count):
    parts = list(minibatches(rollouts, count))
    assert [one for part in parts for one in part] == rollouts
    assert len(parts) == min(count, len(rollouts))
    assert not parts or max(map(len, parts)) - min(map(len, parts)) <= 1


def rollout(lengths, rewards):
    completions = [Completion([5] * length, [-2.0] * length, Ending.STOPPED) for length in lengths]
    return Rollout(None, [1, 2, 3], completions, [Verdict.share(reward, "") for reward in rewards])


@pytest.mark.parametrize("kl", [0.5, 0.0])
def test_batches_carry_the_references_own_log_probabilities(tiny, kl):
    model = tiny(vocabulary=40)
    settings = Reinforce(temperature=0.7, kl=kl)
    (batch,) = batches(groups([rollout([3, 2], [1.0, 0.0])], settings, 0), trainer(model), model, settings)
    logprobs, _, taught = policy_logprobs(model, batch, 0.7)
    assert batch.extra["advantage"][taught].tolist() == [1.0] * 3 + [-1.0] * 2
    assert ("reference" in batch.extra) == bool(kl)
    if kl:
        torch.testing.assert_close(batch.extra["reference"][taught], logprobs.detach())
        assert not batch.extra["reference"].requires_grad


def test_long_rollouts_come_in_several_batches(tiny):
    model = tiny(vocabulary=40, context=1024)
    made = groups([rollout([700, 700], [1.0, 0.0]) for _ in range(3)], Reinforce(), 0)
    found = list(batches(made, trainer(model), model, Reinforce()))
    assert [batch.weights_N.sum().item() for batch in found] == [1400] * 3


def test_stages_change_settings_on_the_exact_step(improve):
    changes = [
        ReinforceStage(name="short", share=0.5, prompts=2, dynamic_sampling=False),
        ReinforceStage(name="long", share=0.5, max_new_tokens=24, temperature=1.3, lr=1e-5, kl=0.0),
    ]
    log = [record for record in improve(steps=4, max_new_tokens=4, kl=0.01, stage=changes).log() if "reward" in record]
    assert [record["stage"] for record in log] == ["short", "short", "long", "long"]
    assert all(record["length"] <= 4 for record in log[:2]) and max(record["length"] for record in log[2:]) > 4
    assert [record.get("lr") for record in log[2:] if "lr" in record] == [1e-5] * 2
    assert ["kl_to_reference" in record for record in log] == [True, True, False, False]


def test_problems_are_sorted_before_each_stage(improve):
    changes = [ReinforceStage(name="one", share=0.5), ReinforceStage(name="two", share=0.5)]
    artifact = improve(steps=4, stage=changes, profile=Profile(samples=3, low=0.2, high=0.8))
    sorted_ = [record for record in artifact.log() if "pool" in record]
    assert [record["step"] for record in sorted_] == [0, 2]
    for record in sorted_:
        pool = record["pool"]
        assert pool["active"] + pool["deferred"] + pool["retired"] == sum(pool["rates"]) > 0


def test_a_stage_longer_than_the_context_is_named_before_the_first_rollout(improve):
    with pytest.raises(UserError, match=r'Stage "long" needs \d+ tokens.*max_new_tokens is 500'):
        improve(
            stage=[ReinforceStage(name="short", share=0.5), ReinforceStage(name="long", share=0.5, max_new_tokens=500)]
        )


def test_a_server_with_less_room_than_a_stage_needs_is_named_too(improve, start):
    tokenizer = Tokenizer.load(start.path)
    with served(load_pretrained(start.path), tokenizer.turn_end, context=24) as server:
        with pytest.raises(UserError, match=r'Stage "reinforce" needs \d+ tokens.*the server\'s context holds 24'):
            improve(engine=server.url)
        assert not any(path == "/v1/completions" for path, _ in server.asked)


def test_every_member_of_the_family_trains(improve, start):
    for loss in (
        PolicyLoss(advantage="centred", average="constant"),
        PolicyLoss(advantage="batch", kl_estimator="k2"),
        PolicyLoss(ratio="sequence", average="sequence", kl_estimator="k1"),
        PolicyLoss(surrogate="cispo", sampler_correction=[0.5, 2.0]),
    ):
        assert not torch.equal(weights(improve(loss=loss, kl=0.01, minibatches=2)), weights(start))


def test_the_entropy_bonus_follows_the_entropy(improve):
    bonus = EntropyBonus(target=100.0, step=0.01, most=0.015)
    log = [record for record in improve(steps=3, entropy=bonus).log() if "reward" in record]
    assert "entropy_bonus" not in log[0]  # nothing is paid before it is measured
    assert all(record["entropy_bonus"] < 0 for record in log[1:])


def test_a_collapse_brings_the_best_policy_back(improve, monkeypatch, start):
    """Two steps, scores as given; from the second step on there is nothing to learn from."""
    scores, collect = iter([0.8, 0.1, 0.1]), Sampler.collect
    monkeypatch.setattr(Sampler, "score", lambda *_: next(scores))

    def once(self, pool, settings, step):
        kept, seen = collect(self, pool, settings, step)
        return (kept, seen) if step == 0 else ([], seen)

    monkeypatch.setattr(Sampler, "collect", once)
    artifact = improve(steps=2, validate_every=1, lr=1e-2, reset=Reset(every=0, on_stall=False, rollback=0.5))
    assert [record["reset"] for record in artifact.log() if "reset" in record] == [
        "validation collapsed to 0.100: back to the best policy"
    ]
    assert torch.equal(weights(artifact), weights(start))


def test_without_rollback_no_best_policy_is_kept(improve, monkeypatch):
    scores, kept = iter([0.8, 0.1, 0.1]), []
    monkeypatch.setattr(Sampler, "score", lambda *_: next(scores))
    init = Resumable.__init__
    monkeypatch.setattr(Resumable, "__init__", lambda self, *rest: kept.append(set(rest[3])) or init(self, *rest))
    log = improve(reset=Reset(every=0, on_stall=False, rollback=0.0)).log()
    assert not any("reset" in record for record in log)
    assert kept == [{"reference"}]


def test_a_stage_has_a_mixture_of_its_own(improve, monkeypatch):
    taken, take = [], Pool.take
    monkeypatch.setattr(Pool, "take", lambda self, *asked: taken.append(asked) or take(self, *asked))
    changes = [ReinforceStage(name="all", share=0.5), ReinforceStage(name="logic", share=0.5, mix={"logic": 1.0})]
    improve(stage=changes, dynamic_sampling=False)
    assert taken == [(3, {}), (3, {"logic": 1.0})]
    with pytest.raises(UserError, match='The mix of stage "b" names "code", and no training problem is'):
        improve(stage=[ReinforceStage(name="a", share=0.5), ReinforceStage(name="b", share=0.5, mix={"code": 1.0})])


def test_a_server_answers_where_the_recipe_says_so(improve, monkeypatch):
    opened = []

    @contextmanager
    def open_vllm(where, policy, tokenizer, place):
        opened.append((where, policy.context, policy.version()))
        yield Engine(trained[0].model, tokenizer.turn_end)
        opened.append(policy.version())

    trained, init = [], Trainer.__init__
    monkeypatch.setattr(Trainer, "__init__", lambda self, *rest: trained.append(self) or init(self, *rest))
    monkeypatch.setattr("underdog.generate.vllm.open_vllm", open_vllm)
    there = improve(engine="http://host:8000", dynamic_sampling=False)
    assert torch.equal(weights(there), weights(improve(dynamic_sampling=False)))
    assert opened == [("http://host:8000", 128, 0), 4]  # two steps of two updates have changed the weights


@pytest.fixture
def shifted(monkeypatch):
    """A sampler whose log-probabilities are not the policy's."""
    answers = Engine.answers

    def shift(self, *asked):
        for index, one in answers(self, *asked):
            yield index, Completion(one.ids, [logprob - 0.5 for logprob in one.logprobs], one.ending)

    monkeypatch.setattr(Engine, "answers", shift)


def test_another_models_answers_are_refused_before_the_first_step(improve, shifted, monkeypatch):
    monkeypatch.setattr(Loop, "look", lambda *_: pytest.fail("it went on"))
    with pytest.raises(UserError, match=r"log-probabilities are 0\.50 nats a token from the trainer's"):
        improve(dynamic_sampling=False)


def test_a_sampler_that_becomes_another_model_is_refused_too(improve, shifted, monkeypatch):
    monkeypatch.setattr(Loop, "compare", lambda *_: None)
    with pytest.raises(UserError, match=r"log-probabilities are 0\.50 nats a token from the trainer's"):
        improve(dynamic_sampling=False)


def test_sampler_and_trainer_agree_while_it_runs(improve):
    log = [record for record in improve(steps=3, temperature=0.7, minibatches=2).log() if "off_sampler" in record]
    assert log and all(record["off_sampler"] < 1e-4 for record in log)


def test_what_a_person_reads_is_logged_at_every_look(improve):
    log = improve(steps=3, validate_every=2).log()
    looks = {record["step"]: record["rollouts"] for record in log if "rollouts" in record}
    assert list(looks) == [0, 2]
    for group in (group for look in looks.values() for group in look):
        assert len(group["rewards"]) == 4 and len(group["answers"]) == 3
        assert {"text", "tokens", "reward", "outcome", "verdict"} == group["answers"][0].keys()


JUDGES = """
import os, time

def fate(completion, **rest):
    length = len(completion[-1]["content"])
    if length % 5 == 0: time.sleep(99)
    if length % 5 == 1: os._exit(1)
    if length % 5 == 2: raise RuntimeError("a bug")
    return float(length % 5 == 3)

class Rubric:
    funcs, weights = [fate], [1.0]

class Environment:
    rubric, max_turns = Rubric(), 1
    dataset = [{"question": f"{number}?", "answer": "1"} for number in range(4)]

def load_environment():
    return Environment()
"""


def test_judges_that_hang_or_end_cost_one_rollout_each(start, make, monkeypatch, tmp_path):
    """The run ends well, its log counts them, and it has learned from the other answers."""
    path = tmp_path / "judges.py"
    path.write_text(JUDGES)
    problems = load_problems(path).problems
    monkeypatch.setattr(environment, "SECONDS", 0.1)

    def build(out):
        write_problems(out.path / "train.jsonl", problems[:3])
        write_problems(out.path / "validation.jsonl", problems[3:])

    settings = Reinforce(steps=1, prompts=3, rollouts=8, max_new_tokens=12, dynamic_sampling=False, kl=0.0)
    artifact = make(reinforce, settings, 1, start, make(build))
    (step,) = [record for record in artifact.log() if "reward" in record]
    assert step["verifier_timed_out"] >= 1 and step["verifier_crashed"] >= 2 and step["reward"] > 0
    assert not torch.equal(weights(artifact), weights(start))
