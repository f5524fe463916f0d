import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.text.scores import choose_signals, group, overall, rank
from underdog.text.signals import SIGNALS

VALUES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=60).map(lambda v: np.array(v)[:, None])


@given(VALUES)
def test_scores_keep_the_order_and_the_best_gets_9(values):
    scores = rank(values)[:, 0]
    assert scores.min() >= 0
    assert scores[values[:, 0].argmax()] == 9
    order = np.argsort(values[:, 0], kind="stable")
    assert (np.diff(scores[order]) >= 0).all()
    assert all(len(set(scores[values[:, 0] == v])) == 1 for v in set(values[:, 0]))


@given(VALUES)
def test_only_the_order_of_values_matters(values):
    assert (rank(values) == rank(np.exp(values) * 3 - 7)).all()


def test_without_ties_each_score_takes_a_tenth():
    scores = rank(np.random.default_rng(1).permutation(1000.0 * np.arange(1000))[:, None])
    assert np.bincount(scores[:, 0]).tolist() == [99, *[100] * 8, 101]  # a share of exactly 1/10 scores 1


def test_the_overall_score_is_the_weighted_mean_over_nine():
    signals = choose_signals({name: 0 for name in SIGNALS} | {"reasoning_depth": 3.0, "fluency": 1.0})
    assert [s.name for s in signals] == ["reasoning_depth", "fluency"]
    scores = np.array([[9, 9], [0, 0], [9, 0], [0, 9]], dtype=np.int8)
    assert overall(scores, signals).tolist() == [1.0, 0.0, 0.75, 0.25]


def test_groups_are_ranked_by_themselves():
    values = np.arange(200.0)[:, None]
    names = ["en"] * 100 + ["ru"] * 100
    scores = rank(values, names)[:, 0]
    assert scores[:100].tolist() == scores[100:].tolist() == rank(values[:100])[:, 0].tolist()


def test_small_groups_join_coarser_ones():
    languages = ["en"] * 6 + ["ru"] * 4 + ["fi"]
    domains = ["text"] * 3 + ["code"] * 3 + ["text"] * 4 + ["code"]
    names = group([languages, domains], 11, smallest=3)
    assert names == ["en text"] * 3 + ["en code"] * 3 + ["ru text"] * 4 + ["other"]
    assert group([languages, domains], 11, smallest=4) == ["en"] * 6 + ["ru text"] * 4 + ["other"]
    assert group([], 2) == ["other"] * 2


def test_mistakes_in_the_weights_are_explained():
    with pytest.raises(UserError, match="flueny") as problem:
        choose_signals({"flueny": 1.0})
    assert problem.value.hint == 'Did you mean "fluency"?'
    with pytest.raises(UserError, match="fluency is -1"):
        choose_signals({"fluency": -1.0})
    with pytest.raises(UserError, match="every signal off"):
        choose_signals(dict.fromkeys(SIGNALS, 0.0))
