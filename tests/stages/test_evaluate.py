import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.generate.engine import Completion
from underdog.generate.interface import Ending
from underdog.stages.evaluate import accuracies, evaluate, interval
from underdog.train.rollouts import Rollout
from underdog.verify.problem import Verdict
from underdog.verify.problem_files import read_problems


def rollout(*rewards):
    completions = [Completion([1], [0.0], Ending.STOPPED)] * len(rewards)
    return Rollout(None, [1], completions, [Verdict.share(reward, "") for reward in rewards])


def test_a_problems_accuracy_is_the_mean_of_its_answers():
    assert accuracies([rollout(1.0, 0.0, 0.0, 1.0), rollout(0.0), rollout(0.5, 1.0)]).tolist() == [0.5, 0.0, 0.75]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_an_interval_holds_its_mean(values):
    found = interval(np.array(values), seed=1, draws=200)
    assert found["mean"] == pytest.approx(np.mean(values))
    assert 0 <= found["low"] <= found["high"] <= 1
    assert found == interval(np.array(values), seed=1, draws=200)


def test_intervals_are_about_two_standard_errors_wide():
    values = np.array([0.0, 1.0] * 200)
    found = interval(values, seed=1)
    for bound, side in ((found["low"], -1), (found["high"], 1)):
        assert bound == pytest.approx(0.5 + side * 1.96 * 0.5 / np.sqrt(400), abs=0.005)
    always, never = interval(np.ones(10), seed=1), interval(np.zeros(500), seed=1)
    assert (always["low"], always["high"]) == (pytest.approx(0.7225, abs=1e-4), 1.0)  # n / (n + z²)
    assert (never["low"], never["high"]) == (0.0, pytest.approx(0.00762, abs=1e-5))


@pytest.mark.parametrize(("accuracy", "problems"), [(0.3, 100), (0.02, 200), (0.01, 100), (0.995, 500)])
def test_intervals_cover_what_they_should(accuracy, problems):
    """Of samples of a known accuracy, about 95 in 100 have it in their interval."""
    random = np.random.default_rng(1)
    samples = (random.random((200, problems)) < accuracy).astype(float)
    found = [interval(sample, seed=i, draws=500) for i, sample in enumerate(samples)]
    assert 0.88 <= np.mean([one["low"] <= accuracy <= one["high"] for one in found]) <= 0.995


def test_an_evaluation_adds_up(made):
    artifact = made.artifacts["evaluate-sft"]
    found = artifact.metrics
    lines = [json.loads(line) for line in (artifact.path / "samples.jsonl").read_text().splitlines()]
    test = read_problems(made.artifacts["problems"].path / "test.jsonl")
    assert [line["problem"] for line in lines] == [problem.id for problem in test]
    assert [line["prompt"] for line in lines] == [problem.prompt[-1].content for problem in test]
    assert (found["problems"], found["samples"]) == (10, 2)
    assert all(len(line["sampled_rewards"]) == 2 for line in lines)
    assert found["sampled"]["mean"] == pytest.approx(np.mean([line["sampled_rewards"] for line in lines]))
    assert found["greedy"]["mean"] == pytest.approx(np.mean([line["greedy_reward"] for line in lines]))
    assert found["any_of_samples"] == pytest.approx(np.mean([max(line["sampled_rewards"]) for line in lines]))
    assert found["by_task"].keys() == {"gcd", "chain_sum"}
    for task, scores in found["by_task"].items():
        mine = [line for line in lines if line["task"] == task]
        assert scores["greedy"] == pytest.approx(np.mean([line["greedy_reward"] for line in mine]))
        assert scores["sampled"] == pytest.approx(np.mean([line["sampled_rewards"] for line in mine]))
    assert 0 < found["length"] <= 12
    assert 0 <= found["truncated"] <= 1


def test_equal_seeds_give_equal_evaluations(made, make):
    def samples(seed):
        artifact = make(evaluate, made.recipe.evaluate, seed, made.artifacts["sft"], made.artifacts["problems"])
        return artifact.metrics, (artifact.path / "samples.jsonl").read_text()

    assert samples(1) == samples(1)
    assert samples(1)[1] != samples(2)[1]
