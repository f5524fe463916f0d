import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.report.series import pick, smooth, thin, trend

values = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60).map(np.array)


def test_pick_takes_records_that_have_both_and_are_finite():
    log = [
        {"step": 0, "loss": 2.0},
        {"step": 1},
        {"step": 2, "loss": float("nan")},
        {"loss": 1.0},
        {"step": 3, "loss": 1},
    ]
    x, y = pick(log, "step", "loss")
    assert (x.tolist(), y.tolist()) == ([0, 3], [2, 1])
    assert [len(side) for side in pick([], "step", "loss")] == [0, 0]


@given(values, st.integers(2, 30))
def test_thin_keeps_short_series_the_ends_and_the_mean(y, most):
    x = np.arange(len(y), dtype=float)
    thin_x, thin_y = thin((x, y), most)
    assert len(thin_x) == len(thin_y) == min(len(y), most)
    assert (thin_x[0], thin_x[-1]) == (x[0], x[-1])
    assert (np.diff(thin_x) > 0).all()
    if len(y) % most == 0:
        assert thin_y.mean() == pytest.approx(y.mean(), abs=1e-6)


@given(values, st.floats(0.1, 100))
def test_smooth_stays_within_the_series(y, width):
    smoothed = smooth(y, width)
    assert len(smoothed) == len(y)
    assert y.min() - 1e-6 <= smoothed.min() and smoothed.max() <= y.max() + 1e-6


def test_smooth_is_a_centred_mean():
    assert smooth(np.array([0.0, 3.0, 6.0, 9.0]), 2).tolist() == [1.5, 3.0, 6.0, 7.5]


@given(values, st.sets(st.integers(-5, 70)))
def test_trend_keeps_every_point_and_breaks_at_the_edges(y, edges):
    x = np.arange(len(y), dtype=float)
    parts = trend((x, y), edges, 0.1)
    assert np.concatenate([part[0] for part in parts]).tolist() == x.tolist()
    assert {part[0][0] for part in parts} == {0.0} | {edge for edge in edges if 0 < edge < len(y)}


def test_trend_does_not_smear_a_jump():
    y = np.repeat([1.0, 5.0], 10)
    (_, before), (_, after) = trend((np.arange(20.0), y), [10], 0.5)
    assert set(before) == {1.0} and set(after) == {5.0}
