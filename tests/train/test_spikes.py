import json

from hypothesis import given
from hypothesis import strategies as st

from underdog.recipe.schema import Spikes as Settings
from underdog.train.spikes import Spikes


def judged(settings, losses, norms=None):
    spikes = Spikes(settings, {})
    return [
        spikes.accept({"loss": loss, "gradient_norm": norm})
        for loss, norm in zip(losses, norms or [1.0] * len(losses), strict=True)
    ]


def test_off_by_default():
    assert all(judged(Settings(), [1.0] * 50 + [1e9]))


def test_a_spike_is_refused_and_what_follows_is_not():
    calm = [2.0] * 40
    assert judged(Settings(loss=1.5), [*calm, 3.1, 2.9, 2.0]) == [True] * 40 + [False, True, True]
    assert judged(Settings(gradient_norm=10), [2.0] * 42, [1.0] * 40 + [11.0, 9.0]) == [True] * 40 + [False, True]


def test_without_half_a_window_there_is_no_median():
    assert judged(Settings(loss=2.0, window=8), [1.0, 1.0, 1.0, 99.0, 99.0]) == [True] * 4 + [False]


def test_a_change_that_lasts_is_accepted_after_half_a_window():
    taken = judged(Settings(loss=2.0, window=8), [1.0] * 8 + [5.0] * 8)
    assert taken == [True] * 8 + [False] * 4 + [True] * 4


def test_the_reason_names_figure_threshold_and_median():
    spikes = Spikes(Settings(loss=2.0, gradient_norm=3.0, window=4), {})
    for _ in range(4):
        spikes.accept({"loss": 2.5, "gradient_norm": 1.0})
    assert spikes.reason is None and spikes.skipped == 0
    spikes.accept({"loss": 6.0, "gradient_norm": 3.5})
    assert spikes.reason == (
        "loss 6 is more than 2 times the median 2.5 and gradient_norm 3.5 is more than 3 times the median 1"
    )
    assert spikes.skipped == 1


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=60), st.data())
def test_a_resumed_run_judges_alike(losses, data):
    """All that is remembered goes through JSON, and may come after the judge was made."""
    settings = Settings(loss=1.5, window=6)
    cut = data.draw(st.integers(0, len(losses)))
    figures = [{"loss": loss, "gradient_norm": 1.0} for loss in losses]
    memory = {}
    first = Spikes(settings, memory)
    judged = [first.accept(one) for one in figures[:cut]]
    again = {}
    second = Spikes(settings, again)
    again.update(json.loads(json.dumps(memory)))
    judged += [second.accept(one) for one in figures[cut:]]
    whole = Spikes(settings, {})
    assert judged == [whole.accept(one) for one in figures]
    assert second.skipped == whole.skipped == judged.count(False)
