import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

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
