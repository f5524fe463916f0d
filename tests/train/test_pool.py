import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.recipe.reinforcement import Profile
from underdog.tokens.messages import Message
from underdog.train.pool import Pool, histogram
from underdog.train.shuffle import Shuffle
from underdog.verify.problem import Problem

PROBLEMS = [Problem(str(n), (Message("user", str(n)),), "number", {"answer": str(n)}) for n in range(7)]


def test_every_problem_comes_once_an_epoch_in_a_new_order_each():
    pool = Pool(PROBLEMS, 1, {})
    first, second = pool.take(7), pool.take(7)
    assert Counter(p.id for p in first) == Counter(p.id for p in second) == Counter(p.id for p in PROBLEMS)
    assert first != second


@given(st.lists(st.integers(0, 20), max_size=6))
def test_it_goes_on_where_it_was_left(counts):
    whole = Pool(PROBLEMS, 1, {}).take(sum(counts))
    memory = {}
    parts = [problem for count in counts for problem in Pool(PROBLEMS, 1, memory).take(count)]
    assert parts == whole


def test_seeds_differ():
    assert Pool(PROBLEMS, 1, {}).take(7) != Pool(PROBLEMS, 2, {}).take(7)


@given(st.integers(1, 50), st.integers(0, 2**62), st.lists(st.integers(0, 500), min_size=1, max_size=20))
def test_a_shuffle_is_a_pure_function_of_the_position(items, seed, positions):
    shuffle = Shuffle(items, seed)
    assert [shuffle[position] for position in positions] == [Shuffle(items, seed)[position] for position in positions]
    epoch = positions[0] // items
    assert sorted(shuffle[epoch * items + within] for within in range(items)) == list(range(items))


RATES = [0.0, 0.05, 0.1, 0.5, 0.9, 0.95, 1.0]  # of PROBLEMS


def test_sorting_keeps_the_middle_and_reviews_what_is_known():
    pool = Pool(PROBLEMS, 1, {})
    found = pool.sort("one", RATES, Profile(samples=16, review=0.25))
    assert found == {"active": 3, "deferred": 2, "retired": 2, "rates": [2, 1, 0, 0, 0, 1, 0, 0, 0, 3]}
    taken = [problem.id for problem in pool.take(40)]
    assert set(taken[3::4]) == {"5", "6"}
    assert Counter(id for place, id in enumerate(taken) if place % 4 != 3) == {"2": 10, "3": 10, "4": 10}


def test_a_sorted_pool_goes_on_where_it_was_left():
    def run(*counts):
        memory, taken = {}, []
        Pool(PROBLEMS, 1, memory).sort("one", RATES, Profile(samples=4))
        for count in counts:
            memory = json.loads(json.dumps(memory))
            taken += Pool(PROBLEMS, 1, memory).take(count)
        return [problem.id for problem in taken]

    assert run(30) == run(7, 0, 20, 3)


def test_a_new_stage_looks_again():
    pool = Pool(PROBLEMS, 1, {})
    assert not pool.sorted_for("one")
    pool.sort("one", [0.0] * 6 + [0.5], Profile(samples=4))
    assert pool.sorted_for("one") and not pool.sorted_for("two")
    assert {p.id for p in pool.take(5)} == {"6"}
    pool.sort("two", [0.5] * 6 + [1.0], Profile(samples=4, review=0.0))
    assert {p.id for p in pool.take(12)} == set("012345")


def test_nothing_in_the_middle_leaves_everything_active():
    pool = Pool(PROBLEMS, 1, {})
    assert pool.sort("one", [0.0] * 7, Profile(samples=4))["active"] == 0
    assert {p.id for p in pool.take(7)} == {p.id for p in PROBLEMS}


@given(st.lists(st.floats(0, 1), max_size=30))
def test_every_rate_is_in_one_bin(rates):
    assert sum(histogram(rates)) == len(rates)
    assert len(histogram(rates)) == 10


def of(domain, task, count):
    return [Problem(f"{task} {n}", (Message("user", task),), "number", {}, domain, task) for n in range(count)]


MIXED = [*of("logic", "countdown", 5), *of("logic", "sorting", 5), *of("code", "calls", 3)]


@pytest.mark.parametrize("mix", [{"code": 0.7, "logic": 0.3}, {"logic/sorting": 0.25, "logic/countdown": 0.75}])
def test_a_mixture_holds_from_the_first_few_problems_on(mix):
    pool = Pool(MIXED, 1, {})
    taken = []
    for count in (3, 1, 16, 80):
        taken += pool.take(count, mix)
        for kind, share in mix.items():
            found = sum(kind in (p.domain, f"{p.domain}/{p.task}") for p in taken)
            assert abs(found - share * len(taken)) < 3
    if "code" in mix:  # every problem of a kind comes once before any comes again
        codes = [problem.id for problem in taken if problem.domain == "code"]
        assert all(set(codes[i : i + 3]) == {p.id for p in MIXED[-3:]} for i in range(0, len(codes) - 2, 3))


def test_mixtures_go_on_where_they_were_left_and_change_between_stages():
    def run(*counts):
        memory, taken = {}, []
        for number, count in enumerate(counts):
            memory = json.loads(json.dumps(memory))
            taken += Pool(MIXED, 1, memory).take(count, {"code": 0.5, "logic": 0.5} if number < 2 else {"code": 1.0})
        return [problem.id for problem in taken]

    assert run(10, 0, 20) == run(3, 7, 20)
    assert all(id.startswith("calls") for id in run(10, 0, 20)[10:])


def test_a_kind_without_informative_problems_keeps_its_share():
    pool = Pool(MIXED, 1, {})
    pool.sort("one", [0.5] * 10 + [1.0] * 3, Profile(samples=4))
    assert {p.domain for p in pool.take(30)} == {"logic", "code"}  # those that retired are looked at again
    taken = pool.take(40, {"code": 0.5, "logic": 0.5})
    assert abs(Counter(p.domain for p in taken)["code"] - 20) <= 1


def test_a_mixture_of_what_is_not_there_is_refused():
    with pytest.raises(UserError, match='The mix names "cod", and no training problem is') as told:
        Pool(MIXED, 1, {}).check({"logic": 0.5, "cod": 0.5}, "The mix")
    Pool(MIXED, 1, {}).check({"logic": 1.0, "cod": 0.0}, "The mix")
    assert told.value.hint == 'Did you mean "code"?'
