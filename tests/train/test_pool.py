from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from underdog.tokens.messages import Message
from underdog.train.pool import Pool
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
