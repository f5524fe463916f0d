import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.report.plot_text import _bars, correlation_matrix, signal_histogram


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 1.0, 7.5]) | st.floats(-100, 100), min_size=11, max_size=11).map(sorted)
)
def test_areas_are_shares_of_the_documents(deciles):
    low, high, bars, spikes = _bars(np.array(deciles))
    assert sum((right - left) * height for left, right, height in bars + spikes) == pytest.approx(1)
    assert low < high


@pytest.mark.parametrize("deciles", [[0.0] * 11, [*[0.0] * 10, 1.0], list(range(11)), [1e-300 * i for i in range(11)]])
def test_any_signal_can_be_drawn(deciles):
    assert signal_histogram("any", deciles).startswith("<svg")


def test_ties_make_one_spike():
    _, _, bars, spikes = _bars(np.array([-1.0, *[0.0] * 9, 1.0]))
    assert len(bars) == 2 and len(spikes) == 1
    (left, right, height) = spikes[0]
    assert left < 0 < right and (right - left) * height == pytest.approx(0.8)


def test_every_pair_of_signals_has_a_square():
    svg = correlation_matrix(["Fluency", "Literacy", "Safety"], [[1, 0.5, -0.2], [0.5, 1, 0.1], [-0.2, 0.1, 1]])
    assert all(name in svg for name in ("Fluency", "Literacy", "Safety"))
    assert svg.count("<path") >= 3
