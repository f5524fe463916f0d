import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.recipe.teaching import Sft, SftStage
from underdog.train.batch import Example
from underdog.train.data import Shuffled
from underdog.train.mixture import mixed

DOMAINS = {
    "maths": [Example([1] * length, [True] * length) for length in (30, 40, 50)],
    "code": [Example([2] * length, [True] * length) for length in range(10, 20)],
    "science": [Example([3] * 100, [True] * 100)] * 4,
}


def tokens(order, steps, domain):
    return sum(len(one.ids) for step in range(steps) for one in order.at(step) if one.ids[0] == domain)


def test_domains_get_their_shares_of_the_tokens():
    budget = {"maths": 0.5, "code": 0.2, "science": 0.3}
    order = mixed(DOMAINS, Sft(budget=budget, batch_tokens=300), 200, seed=1)
    seen = [tokens(order, 200, domain) for domain in (1, 2, 3)]
    assert [share / sum(seen) for share in seen] == pytest.approx([0.5, 0.2, 0.3], abs=0.01)
    assert sum(seen) / 200 == pytest.approx(300, rel=0.15)


@given(st.lists(st.integers(0, 49), min_size=1, max_size=5), st.integers(0, 9))
def test_a_step_is_a_pure_function_of_the_seed_and_its_number(steps, seed):
    settings = Sft(
        budget={"maths": 0.5, "code": 0.5, "science": 0.0},
        stage=[SftStage(share=0.5, context=30), SftStage(share=0.5, context=99)],
    )
    order = mixed(DOMAINS, settings, 50, seed)
    assert [order.at(step) for step in steps] == [mixed(DOMAINS, settings, 50, seed).at(step) for step in steps]
    assert all(len(order.at(step)) >= 1 for step in steps)


def test_long_rows_wait_for_their_stage():
    settings = Sft(stage=[SftStage(share=0.4, context=19), SftStage(share=0.6, context=256)], batch_tokens=300)
    order = mixed(DOMAINS, settings, 10, seed=1)
    longest = [max(len(one.ids) for one in order.at(step)) for step in range(10)]
    assert max(longest[:4]) <= 19 < min(longest[4:]) and max(longest) == 100


def test_without_budget_and_stages_every_row_comes_once_an_epoch():
    order = mixed(DOMAINS, Sft(batch_tokens=100), 10, seed=1)
    assert isinstance(order, Shuffled)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Sft(budget={"math": 1.0}), '"math".*no rows'),
        (Sft(budget={"maths": 1.0}), 'does not say what "code" gets'),
        (Sft(stage=[SftStage(share=1.0, context=5)]), "sft.stage 1 .*no rows"),
    ],
)
def test_what_cannot_be_mixed(settings, why):
    with pytest.raises(UserError, match=why):
        mixed(DOMAINS, settings, 10, seed=1)


@pytest.mark.parametrize("wrong", [{"budget": {"a": 0.5}}, {"stage": [SftStage(share=0.9, context=5)]}])
def test_shares_make_one(wrong):
    with pytest.raises(ValueError, match="not 1"):
        Sft(**wrong)
