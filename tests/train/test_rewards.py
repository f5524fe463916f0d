import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.generate.engine import Completion
from underdog.generate.interface import Ending
from underdog.recipe.reinforcement import LengthReward, Shaping
from underdog.train.rewards import advantages, is_paid, shaped

REWARDS = st.lists(st.floats(0, 1), min_size=2, max_size=16)


def test_advantages_are_standard_scores_of_the_group():
    assert advantages([[1, 0, 0, 0]], "group") == [pytest.approx([math.sqrt(3), *[-1 / math.sqrt(3)] * 3])]
    assert advantages([[1, 0], [0.2, 0.4]], "group") == [pytest.approx([1, -1]), pytest.approx([-1, 1])]


def test_centred_advantages_keep_their_size():
    assert advantages([[1, 0], [0.2, 0.4]], "centred") == [pytest.approx([0.5, -0.5]), pytest.approx([-0.1, 0.1])]


def test_batch_advantages_are_standard_scores_of_the_step():
    found = advantages([[1, 0], [0.2, 0.4], [1, 1]], "batch")
    spread = math.sqrt((0.25 * 2 + 0.01 * 2) / 6)
    assert found == [pytest.approx([x / spread for x in group]) for group in ([0.5, -0.5], [-0.1, 0.1], [0, 0])]
    assert advantages([[1, 1], [0, 0]], "batch") == [[0, 0], [0, 0]]


@given(REWARDS)
def test_advantages_have_mean_0_and_spread_1(rewards):
    (found,) = advantages([rewards], "group")
    if max(rewards) == min(rewards):
        assert not any(found)
    elif statistics.pstdev(rewards) > 1e-6:
        assert statistics.fmean(found) == pytest.approx(0, abs=1e-6)
        assert statistics.pstdev(found) == pytest.approx(1, abs=1e-6)
        better = [(found[i], found[j]) for i, a in enumerate(rewards) for j, b in enumerate(rewards) if a <= b]
        assert all(one <= other for one, other in better)


@given(st.floats(0, 1), st.integers(2, 16), st.sampled_from(["group", "centred", "batch"]))
def test_equal_rewards_teach_nothing(reward, answers, kind):
    """Partial rewards too: 0.1 three times has a mean that is not 0.1."""
    assert advantages([[reward] * answers], kind) == [[0.0] * answers]


def answers(*lengths, limit=100):
    return [
        Completion([1] * length, [0.0] * length, Ending.TRUNCATED if length >= limit else Ending.STOPPED)
        for length in lengths
    ]


def test_without_shaping_a_reward_is_what_it_was():
    assert shaped([0.3, 1.0], answers(5, 100), Shaping(), 100, 0) == [0.3, 1.0]


def test_the_overlong_penalty_grows_over_the_last_tokens():
    found = shaped([1.0] * 4, answers(60, 80, 90, 100), Shaping(overlong=20), 100, 0)
    assert found == pytest.approx([1.0, 1.0, 0.5, 0.0])


def test_an_answer_that_does_not_stop_pays():
    assert shaped([1.0, 1.0], answers(99, 100), Shaping(stop=0.5), 100, 0) == [1.0, 0.5]


def test_the_length_reward_is_a_cosine_that_comes_and_goes():
    reward = LengthReward(high=0.5, low=-0.5, on=10, off=30)
    found = shaped([0.0] * 3, answers(0, 50, 100), Shaping(length=reward), 100, 0)
    assert found == pytest.approx([0.5, 0.0, -0.5])
    assert [step for step in range(100) if is_paid(reward, step)] == [*range(10), *range(40, 50), *range(80, 90)]
    assert shaped([0.0], answers(0), Shaping(length=reward), 100, 10) == [0.0]
    assert not is_paid(LengthReward(), 0)
