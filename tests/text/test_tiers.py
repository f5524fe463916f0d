from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.text.tiers import TIERS, assign_tiers, check_shares, check_thresholds, tiers_by_threshold

DOCUMENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50)), min_size=1, max_size=60)
SHARES = st.tuples(*[st.sampled_from([0.0, 0.1, 0.25, 1 / 3])] * 3).filter(any)


def assign(documents, keep):
    scores = np.array([score / 5 for score, _ in documents])
    return assign_tiers(scores, [length for _, length in documents], [f"{i:04}" for i in range(len(documents))], keep)


@given(DOCUMENTS, SHARES)
def test_tiers_take_their_shares_from_the_best_downward(documents, shares):
    keep = dict(zip(TIERS, shares, strict=True))
    placed = assign(documents, keep)
    total = sum(length for _, length in documents)
    longest = max(length for _, length in documents)
    for number in range(1, len(TIERS) + 1):
        tiers = TIERS[:number]
        taken = sum(length for (_, length), t in zip(documents, placed, strict=True) if t in tiers)
        assert abs(taken - sum(keep[t] for t in tiers) * total) <= longest / 2 + 1e-9
    order = [*TIERS, None]
    for better, worse in pairwise(order):
        lowest = min((s for (s, _), t in zip(documents, placed, strict=True) if t == better), default=None)
        highest = max((s for (s, _), t in zip(documents, placed, strict=True) if t == worse), default=None)
        assert lowest is None or highest is None or lowest >= highest


@given(DOCUMENTS)
def test_shares_that_sum_to_one_keep_everything(documents):
    assert None not in assign(documents, {"top": 0.1, "high": 0.2, "medium": 0.7})


def test_equal_scores_do_not_depend_on_the_order_of_reading():
    ids = [f"{i:03}" for i in range(100)]
    lengths = list(range(1, 101))
    keep = {"top": 0.2, "medium": 0.3}
    forward = assign_tiers(np.zeros(100), lengths, ids, keep)
    backward = assign_tiers(np.zeros(100), lengths[::-1], ids[::-1], keep)
    assert forward == backward[::-1]


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ({"hihg": 0.2}, 'unknown tier "hihg"'),
        ({"top": -0.1}, "curate.keep.top is -0.1"),
        ({"top": 1.5}, "curate.keep.top is 1.5"),
        ({"top": 0.6, "high": 0.6}, "sum to 1.2"),
        ({"top": 0.0}, "keeps nothing"),
        ({}, "keeps nothing"),
    ],
)
def test_impossible_shares_are_explained(keep, says):
    with pytest.raises(UserError, match=says):
        check_shares(keep)


def test_shares_may_sum_to_one_in_floating_point():
    check_shares({"top": 0.1, "high": 0.2, "medium": 0.7})


def test_groups_fill_tiers_by_themselves():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
    ids = [f"{i}" for i in range(8)]
    placed = assign_tiers(scores, [10] * 8, ids, {"top": 0.5}, ["en"] * 4 + ["ru"] * 4)
    assert placed == ["top", "top", None, None] * 2


def test_thresholds_are_least_scores():
    placed = tiers_by_threshold(np.array([0.95, 0.9, 0.5, 0.1]), {"top": 0.9, "medium": 0.5})
    assert placed == ["top", "top", "medium", None]


@pytest.mark.parametrize(
    ("thresholds", "says"),
    [
        ({"hihg": 0.2}, 'unknown tier "hihg"'),
        ({"top": 1.5}, "curate.thresholds.top is 1.5"),
        ({"top": 0.4, "medium": 0.5}, "top asks for 0.4, medium for 0.5"),
    ],
)
def test_impossible_thresholds_are_explained(thresholds, says):
    with pytest.raises(UserError, match=says):
        check_thresholds(thresholds)
