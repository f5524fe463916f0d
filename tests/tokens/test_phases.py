import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.recipe.schema import Phase, Pretrain, Rate
from underdog.tokens.phases import Schedule, learning_rate, mixable_tokens, take_turns

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
    drawn, _ = take_turns(plan.spans[0].counts, 0, plan.spans[0].rows)
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
    schedule(ONE).check_epochs({"top": 8000, "high": 1000, "medium": 0}, most=4, most_of={"high": 32})


@pytest.mark.parametrize(
    ("available", "what", "hint"),
    [
        ({"top": 8000, "hihg": 8000}, 'Phase "one" mixes in "high"', 'Did you mean "hihg"?'),
        ({"top": 8000, "high": 0}, 'Phase "one" mixes in "high", which holds no tokens', None),
        (
            {"top": 8000, "high": 7900},
            'Phase "one" asks for 4.05 epochs of "high" by its end (32,000 of 7,900 tokens); pretrain.epochs allows 4.',
            'Lower pretrain.tokens (64,000) or the share of "high" to 98 % of what it is, add text, or raise',
        ),
    ],
)
def test_a_plan_that_cannot_be_read(available, what, hint):
    with pytest.raises(UserError) as error:
        schedule(ONE).check_epochs(available, most=4)
    assert str(error.value).startswith(what)
    assert (error.value.hint or "").startswith(hint or "")


def test_the_phase_that_goes_too_far_is_named():
    phases = [Phase(name=name, share=0.25, lr=1.0, mix={"top": 1.0}) for name in "abcd"]
    with pytest.raises(UserError, match=r'Phase "c" asks for 4\.8 epochs of "top" by its end \(48,000 of 10,000'):
        schedule(*phases).check_epochs({"top": 10_000}, most=4)
    with pytest.raises(UserError, match=r'epochs_of names "tpo"') as error:
        schedule(*phases).check_epochs({"top": 10_000}, most=40, most_of={"tpo": 3})
    assert error.value.hint == 'Did you mean "top"?'


@st.composite
def exact_plans(draw):
    """Phases that say their tokens, with sequences and batches of their own."""
    phases = []
    for number in range(draw(st.integers(1, 4))):
        context = draw(st.sampled_from([8, 16, 64]))
        tokens, rows = draw(st.integers(1, 3000)), draw(st.integers(1, 12))
        mix = dict(zip(SOURCES, draw(st.sampled_from([(1.0,), (0.3, 0.7), (0.55, 0.15, 0.3)])), strict=False))
        phase = Phase(name=f"p{number}", tokens=tokens, lr=1.0, mix=mix, context=context, batch_tokens=rows * context)
        phases.append(phase)
    return Schedule(Pretrain(preset="own", phase=phases), context=16, rope_base=1e4), phases


@given(exact_plans())
def test_phases_that_say_their_tokens_end_on_them(plan):
    """To the sequence; the last step of a phase gives or takes what a whole batch would miss."""
    plan, phases = plan
    end = seen = 0
    for phase, span in zip(phases, plan.spans, strict=True):
        assert span.start == end and abs(span.tokens - phase.tokens) <= max(span.context / 2, span.context - 1)
        end = span.end
        for index in range(span.first_step, span.first_step + span.steps):
            step = plan.at(index)
            assert (step.phase, step.context, step.tokens) == (phase.name, phase.context, seen)
            assert step.ends_phase == (index == span.first_step + span.steps - 1)
            if step.ends_phase:
                assert step.rows <= 1.5 * span.batch_rows and (step.rows >= 0.5 * span.batch_rows or span.steps == 1)
            else:
                assert step.rows == span.batch_rows
            assert len(plan.rows(index)) == step.rows
            seen = step.tokens_after
        for source, count in zip(plan.sources, span.counts, strict=True):
            assert abs(count - phase.mix.get(source, 0.0) * span.rows) < 1
    assert seen == plan.tokens == sum(plan.used.values())


@given(plans(), st.data())
def test_order_is_a_pure_function_of_the_position(plan, data):
    """Steps asked for in any order, and of a schedule made anew, are the same."""
    plan, phases, tokens = plan
    steps = data.draw(st.lists(st.integers(0, plan.steps - 1), min_size=1, max_size=5))
    again = schedule(*phases, tokens=tokens)
    assert [plan.rows(step) for step in steps] == [again.rows(step) for step in reversed(steps)][::-1]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5).filter(any), st.data())
def test_turns_are_those_of_the_whole_phase_sorted(counts, data):
    """What is computed for a window is a piece of the one order in which all rows stand."""
    places = [(k + 0.5) / n for n in counts for k in range(n)]
    sources = [source for source, n in enumerate(counts) for _ in range(n)]
    order = [sources[place] for place in np.argsort(places, kind="stable")]
    first = data.draw(st.integers(0, len(order)))
    last = data.draw(st.integers(first, len(order)))
    found, before = take_turns(counts, first, last)
    assert found.tolist() == order[first:last]
    assert before.tolist() == [order[: first + i].count(source) for i, source in enumerate(order[first:last])]


def test_a_run_of_trillions_is_laid_out_as_fast_as_one_of_thousands():
    phases = [
        Phase(name="long", tokens=12_400_000_000_000, lr=1.0, mix={"top": 0.45, "high": 0.55}, context=4096),
        Phase(name="decay", tokens=4_000_000_000_000, lr=1.0, mix={"top": 1.0}, context=65_536),
    ]
    settings = Pretrain(preset="own", batch_tokens=16_777_216, phase=phases)
    plan = Schedule(settings, context=65_536, rope_base=1e4)
    assert abs(plan.tokens - 16_400_000_000_000) <= 65_536
    for index in (0, 700_000, plan.steps - 1):
        rows = plan.rows(index)
        assert sum(plan.at(index).context for _ in rows) == plan.at(index).tokens_after - plan.at(index).tokens
    drawn = sum(source == "top" for source, _ in plan.rows(500_000))
    assert drawn == pytest.approx(0.45 * 4096, abs=3)


def test_the_curve_holds_the_corners():
    rise = Rate(**{"from": 0.0, "to": 1.0})
    plan = schedule(
        Phase(name="warm-up", share=0.01, lr=rise, mix={"top": 1.0}),
        Phase(name="stable", share=0.99, lr=1.0, mix={"top": 1.0}),
    )
    tokens, rates = plan.curve(20)
    assert tokens == sorted(tokens) and (tokens[0], tokens[1], tokens[-1]) == (0, 640, 64_000)
    assert rates[:2] == [0.0, 1.0] and set(rates[2:]) == {1.0}
    assert plan.lr(320) == 0.5 and plan.lr(64_000) == 1.0


@pytest.mark.parametrize("context", [128, 24])
def test_sequences_that_do_not_fill_a_batch(context):
    """24 does not divide 64: the rest of each batch would be counted as read, and never be."""
    with pytest.raises(UserError, match=f'"one" has sequences of {context} tokens in batches of 64') as error:
        schedule(ONE.model_copy(update={"context": context}))
    assert "batch_tokens" in error.value.hint


def test_what_can_be_mixed_in():
    metrics = {
        "tokens": {"top": 30, "high": 20, "held-out": 5, "held-out-top": 5, "arithmetic": 7},
        "tokens_by_source": {"top": {"a": 10, "b": 20}, "high": {"a": 20}},
    }
    assert mixable_tokens(metrics) == {
        **{"top": 30, "high": 20, "arithmetic": 7, "a": 30, "b": 20},
        **{"top/a": 10, "top/b": 20, "high/a": 20},
    }
