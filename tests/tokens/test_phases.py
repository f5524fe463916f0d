import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.recipe.schema import Phase, Pretrain, Rate
from underdog.tokens.phases import Schedule, learning_rate

SOURCES = ["top", "high", "medium", "demonstrations"]


def schedule(*phases, tokens=64 * 1000):
    settings = Pretrain(preset="own", tokens=tokens, batch_tokens=64, phase=list(phases))
    return Schedule(settings, context=16, rope_base=1e4)


@st.composite
def plans(draw):
    """One to four phases of random shares, mixtures and sequence lengths."""
    weights = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    phases = []
    for number, weight in enumerate(weights):
        parts = draw(st.dictionaries(st.sampled_from(SOURCES), st.integers(1, 9), min_size=1))
        mix = {source: part / sum(parts.values()) for source, part in parts.items()}
        context = draw(st.sampled_from([None, 8, 16, 64]))
        phases.append(Phase(name=f"p{number}", share=weight / sum(weights), lr=1.0, mix=mix, context=context))
    tokens = draw(st.integers(1, 64 * 300))
    return schedule(*phases, tokens=tokens), phases, tokens


@given(plans())
def test_every_token_of_the_plan_is_read_once_and_in_order(plan):
    plan, _, _ = plan
    seen = dict.fromkeys(plan.sources, 0)
    for index in range(plan.steps):
        step = plan.at(index)
        rows = plan.rows(index)
        assert (step.index, step.tokens, len(rows)) == (index, 64 * index, step.rows)
        assert step.rows * step.context == 64
        for source, position in rows:
            assert position == seen[source]
            seen[source] += step.context
    assert seen == plan.used
    assert sum(seen.values()) == plan.tokens == 64 * plan.steps


@given(plans())
def test_phases_take_their_shares_in_their_order(plan):
    plan, phases, tokens = plan
    steps = [plan.at(index) for index in range(plan.steps)]
    runs = [(name, list(run)) for name, run in itertools.groupby(steps, key=lambda step: step.phase)]
    assert [name for name, _ in runs] == [phase.name for phase in phases]
    for phase, (_, run) in zip(phases, runs, strict=True):
        assert [step.ends_phase for step in run] == [False] * (len(run) - 1) + [True]
        assert {step.context for step in run} == {phase.context or 16}
        assert abs(64 * len(run) - phase.share * tokens) <= (32 if len(run) > 1 else 64)  # whole steps, at least one


def test_a_plan_has_the_tokens_that_were_asked_for():
    a = Phase(name="a", share=0.25, lr=1.0, mix={"top": 1.0})
    b = Phase(name="b", share=0.75, lr=1.0, mix={"high": 1.0})
    plan = schedule(a, b)
    assert (plan.steps, plan.tokens, plan.used) == (1000, 64_000, {"top": 16_000, "high": 48_000})


def test_tokens_of_a_source_go_on_from_phase_to_phase():
    plan = schedule(
        Phase(name="a", share=0.5, lr=1.0, mix={"top": 1.0}),
        Phase(name="b", share=0.5, lr=1.0, mix={"top": 1.0}, context=32),
        tokens=64 * 2,
    )
    assert plan.rows(0) == [("top", 0), ("top", 16), ("top", 32), ("top", 48)]
    assert plan.rows(1) == [("top", 64), ("top", 96)]


MIXES = st.lists(st.integers(1, 20), min_size=2, max_size=4).map(
    lambda parts: {source: part / sum(parts) for source, part in zip(SOURCES, parts, strict=False)}
)


def deviations(mix):
    """[sources, rows + 1]: by how many rows each source is ahead of its share after so many rows."""
    plan = schedule(Phase(name="a", share=1.0, lr=1.0, mix=mix))
    drawn = np.array([plan.sources.index(source) for index in range(plan.steps) for source, _ in plan.rows(index)])
    places = np.arange(len(drawn) + 1)
    counts = [np.concatenate([[0], np.cumsum(drawn == index)]) for index in range(len(plan.sources))]
    return np.array([count - mix[source] * places for source, count in zip(plan.sources, counts, strict=True)])


@given(MIXES)
def test_shares_hold_in_every_stretch(mix):
    """4,000 rows; a random draw would be off by about a hundred."""
    ahead = deviations(mix)
    assert (ahead.max(axis=1) - ahead.min(axis=1) < 3).all()


def test_shares_hold_from_the_start():
    assert np.abs(deviations({"top": 0.15, "high": 0.2, "medium": 0.65})).max() < 1.5


def test_a_source_without_share_is_never_read():
    plan = schedule(Phase(name="a", share=1.0, lr=1.0, mix={"high": 0.0, "medium": 1.0, "top": 0.0}))
    assert plan.used == {"high": 0, "medium": 64_000, "top": 0}


def rate(shape):
    return Rate(**{"from": 2.0, "to": 1.0, "shape": shape})


@pytest.mark.parametrize(
    ("shape", "part", "expected"),
    [
        ("linear", 0.0, 2.0),
        ("linear", 0.25, 1.75),
        ("linear", 1.0, 1.0),
        ("cosine", 0.0, 2.0),
        ("cosine", 0.25, 1.5 + math.sqrt(0.125)),
        ("cosine", 0.5, 1.5),
        ("cosine", 1.0, 1.0),
        ("1-sqrt", 0.0, 2.0),
        ("1-sqrt", 0.25, 1.5),
        ("1-sqrt", 1.0, 1.0),
    ],
)
def test_shapes_of_the_learning_rate(shape, part, expected):
    assert learning_rate(rate(shape), part) == pytest.approx(expected)
    assert learning_rate(3.0, part) == 3.0


def test_the_rate_moves_over_the_steps_of_its_phase_only():
    rise = Rate(**{"from": 0.0, "to": 1.0})
    plan = schedule(
        Phase(name="warm-up", share=0.5, lr=rise, mix={"top": 1.0}),
        Phase(name="stable", share=0.5, lr=1.0, mix={"top": 1.0}),
        tokens=64 * 8,
    )
    assert [plan.at(index).lr for index in range(8)] == pytest.approx([0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1])


def test_the_rope_base_stays_until_a_phase_changes_it():
    a, b, c = (Phase(name=name, share=1 / 3, lr=1.0, mix={"top": 1.0}) for name in "abc")
    plan = schedule(a, b.model_copy(update={"rope_base": 5e5}), c, tokens=64 * 3)
    assert [plan.at(index).rope_base for index in range(3)] == [1e4, 5e5, 5e5]


ONE = Phase(name="one", share=1.0, lr=1.0, mix={"top": 0.5, "high": 0.5})


def test_a_plan_within_its_epochs_is_accepted():
    schedule(ONE).check_epochs({"top": 8000, "high": 8000, "medium": 0}, most=4)


@pytest.mark.parametrize(
    ("available", "what"),
    [
        ({"top": 8000, "hihg": 8000}, 'mixes in "high"'),
        ({"top": 8000, "high": 0}, '"high", which holds no tokens'),
        ({"top": 8000, "high": 7990}, r'read "high" 4\.0 times \(32,000 of 7,990 tokens\); pretrain.epochs allows 4'),
    ],
)
def test_a_plan_that_cannot_be_read(available, what):
    with pytest.raises(UserError, match=what):
        schedule(ONE).check_epochs(available, most=4)


@pytest.mark.parametrize("context", [128, 24])
def test_sequences_that_do_not_fill_a_batch(context):
    """24 does not divide 64: the rest of each batch would be counted as read, and never be."""
    with pytest.raises(UserError, match=f'"one" has sequences of {context} tokens in batches of 64') as error:
        schedule(ONE.model_copy(update={"context": context}))
    assert "batch_tokens" in error.value.hint
