import json

from underdog.recipe.reinforcement import Reset
from underdog.train.resets import Resets


def run(settings, looks, memory=None):
    """Looks are (step, validation); returns the steps at which a reset was due, with the reasons."""
    resets = Resets(settings, {} if memory is None else memory)
    found = []
    for step, score in looks:
        resets.look(score)
        found += [(step, resets.stalled(step)), (step, resets.due(step))]
    return [(step, why) for step, why in found if why]


def test_resets_by_count():
    resets = Resets(Reset(every=25), {})
    found = [(step, why) for step in range(60) if (why := resets.due(step))]
    assert found == [(25, "25 steps since the last"), (50, "25 steps since the last")]
    assert not any(Resets(Reset(every=0), {}).due(step) for step in range(60))


def test_a_stall_is_two_looks_without_a_new_best():
    assert run(Reset(every=0), [(0, 0.5), (10, 0.4), (20, 0.5)]) == [(20, "validation has not risen in 2 looks")]
    assert run(Reset(every=0), [(0, 0.5), (10, 0.4), (20, 0.6), (30, 0.6), (40, 0.7)]) == []
    assert run(Reset(every=0, on_stall=False), [(step, 0.5) for step in range(0, 100, 10)]) == []


def test_a_reset_begins_anew():
    """The score at the reset is the one to beat, and both counts start over."""
    looks = [(0, 0.5), (10, 0.4), (20, 0.3), (30, 0.35), (40, 0.3), (50, 0.3), (60, 0.3), (70, 0.3)]
    assert [step for step, _ in run(Reset(every=0), looks)] == [20, 50, 70]
    assert [step for step, _ in run(Reset(every=40), looks)] == [20, 50, 70]


def test_it_remembers_over_a_resume():
    looks = [
        (step, score) for step, score in zip(range(0, 80, 10), (0.5, 0.4, 0.6, 0.6, 0.5, 0.7, 0.7, 0.7), strict=True)
    ]
    whole = run(Reset(every=0), looks)
    assert whole
    for cut in range(len(looks)):
        memory = {}
        before = run(Reset(every=0), looks[:cut], memory)
        memory = json.loads(json.dumps(memory))
        assert before + run(Reset(every=0), looks[cut:], memory) == whole


def test_a_spike_of_the_kl_is_a_reason():
    resets = Resets(Reset(every=0, on_stall=False, on_kl=0.2), {})
    assert resets.spiked(3, 0.1) is None
    assert resets.spiked(4, 0.5) == "KL to the reference rose to 0.5"
    assert Resets(Reset(), {}).spiked(4, 5.0) is None


def test_a_collapse_is_a_fall_to_a_share_of_the_best():
    resets = Resets(Reset(rollback=0.5), {})
    assert resets.look(0.6) and not resets.collapsed()
    assert not resets.look(0.3) and not resets.collapsed()
    assert not resets.look(0.2) and resets.collapsed()
    forgiving = Resets(Reset(rollback=0.0), {"best_validation": 0.9})
    assert not forgiving.look(0.0) and not forgiving.collapsed()
