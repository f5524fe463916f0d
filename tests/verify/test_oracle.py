from itertools import islice

import pytest

from underdog.verify.gym import draw, worked_tasks
from underdog.verify.oracle import chance, oracle
from underdog.verify.problem import Problem, Worked
from underdog.verify.registry import verify


def sums(answers, task="sums"):
    return [Problem(str(i), (), "number", {"answer": answer}, task=task) for i, answer in enumerate(answers)]


def test_the_oracle_is_always_right():
    pytest.importorskip("reasoning_gym")
    for name in worked_tasks():
        for problem in islice(draw(name, 3), 20):
            assert verify(problem, oracle(problem)).reward == 1
    assert oracle(sums(["5"])[0]) == "5"
    worked = Problem("0", (), "number", {"answer": "5"}, worked=Worked("2+3=5", "5"))
    assert oracle(worked) == "<think>2+3=5</think>5"


def test_chance_is_what_guessing_earns():
    assert chance(sums(["1", "2"] * 200), seed=1) == pytest.approx(0.5, abs=0.03)
    assert chance(sums(["1", "2", "3", "4"] * 100), seed=1) == pytest.approx(0.25, abs=0.03)
    assert chance(sums(["1"] * 5), seed=1) == 1


def test_the_own_answer_is_never_drawn():
    assert chance(sums(map(str, range(50))), seed=1) == 0


def test_chance_draws_within_a_task():
    assert chance(sums(["1"] * 5, "a") + sums(["2"] * 5, "b"), seed=1) == 1


def test_chance_depends_on_the_seed_alone():
    problems = sums(["1", "2", "3"] * 20)
    assert chance(problems, seed=1) == chance(problems, seed=1) != chance(problems, seed=2)


def test_lonely_problems_and_none():
    assert chance(sums(["1"]), seed=1) == 0
    assert chance([], seed=1) == 0
