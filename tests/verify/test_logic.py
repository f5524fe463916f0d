import json
from itertools import islice

import pytest

pytest.importorskip("reasoning_gym")

import reasoning_gym
import sympy
from reasoning_gym.games import countdown, puzzle24

from underdog.errors import UserError
from underdog.verify import exact, gym_entries
from underdog.verify.algebra import parse
from underdog.verify.gym import draw, get_task
from underdog.verify.logic_worker import answer as work
from underdog.verify.logic_worker import make_safe
from underdog.verify.problem import Outcome, Problem
from underdog.verify.registry import verify

SLOW = ("knight_swap", "puzzle24")  # seconds an entry
NAMES = [name for name in sorted(reasoning_gym.factory.DATASETS) if name not in ("composite", *SLOW)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "underdog" / "reasoning-gym"


@pytest.mark.parametrize("first", range(0, len(NAMES), 26))
def test_every_task_is_judged_as_reasoning_gym_judges_it_after_a_trip_through_json(first):
    make_safe()
    for name in NAMES[first : first + 26]:
        dataset = reasoning_gym.create_dataset(name, seed=3, size=10)
        entry = dataset[0]
        sent = json.loads(json.dumps(entry))
        for given in (entry["answer"], "7", "[[1]]"):
            if given is None:  # tasks with many solutions may have written none down
                continue
            found = work({"do": "score", "task": name, "entry": sent, "answer": given})
            try:
                theirs = dataset.score_answer(given, entry)
            except Exception:
                assert "unparsable" in found, (name, given, found)
            else:
                assert found == {"score": pytest.approx(float(theirs))}, (name, given)


@pytest.mark.parametrize(
    "name",
    [
        "string_insertion",
        "spiral_matrix",
        "binary_matrix",
        "n_queens",
        "simple_integration",
        "polynomial_multiplication",
    ],
)
def test_no_answer_is_evaluated(name, tmp_path):
    problem = next(draw(name, 1))
    mark = tmp_path / "evaluated"
    verdict = verify(problem, f"__import__('pathlib').Path({str(mark)!r}).touch()")
    assert verdict.outcome in (Outcome.WRONG, Outcome.UNPARSABLE) and verdict.reward < 0.1
    assert not mark.exists()


def test_arithmetic_is_judged_by_our_parser():
    data = {"task": "puzzle24", "entry": {"metadata": {"numbers": [8, 10, 6, 8]}}}
    problem = Problem("p", (), "reasoning-gym", data)
    assert verify(problem, "<answer>8*(8+10)/6</answer>").reward == 1
    assert verify(problem, "12+12+1-1").reward == 0  # reasoning-gym accepts numbers that were not given


def test_answers_may_be_tagged_and_partial_credit_is_the_tasks():
    problem = next(draw("arc_1d", 1))
    right = problem.data["entry"]["answer"]
    assert verify(problem, f"I think <answer>0</answer> no <answer>{right}</answer>").outcome is Outcome.RIGHT
    verdict = verify(next(draw("word_sorting", 1)), "b, a")
    assert verdict.outcome in (Outcome.WRONG, Outcome.UNPARSABLE) and 0 <= verdict.reward < 1


def test_a_malformed_entry_is_no_wrong_answer():
    problem = Problem("p", (), "reasoning-gym", {"task": "gcd", "entry": {"metadata": {}}})
    assert verify(problem, "3").outcome is Outcome.CRASHED


def test_difficulty_by_setting_and_by_level():
    easy, hard = (next(draw("mini_sudoku", 1, {"min_empty": n, "max_empty": n})) for n in (2, 10))
    assert easy.prompt[0].content.count("_") < hard.prompt[0].content.count("_")
    assert next(draw("gcd", 1, {"max_value": 5})).data != next(draw("gcd", 1)).data
    steps = [next(draw("spell_backward", 5, {"level": level})) for level in (0, 3)]
    lengths = [len(problem.data["entry"]["answer"]) for problem in steps]
    assert steps[1].data["config"] == {"level": 3} and lengths[0] != lengths[1]


@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        ({"min_emty": 3}, "min_emty", 'Did you mean "min_empty"?'),
        ({"min_empty": 99}, "min_empty", None),
        ({"level": "high"}, "whole number", None),
    ],
)
def test_a_difficulty_that_there_is_not(config, message, hint):
    with pytest.raises(UserError, match=message) as error:
        get_task("mini_sudoku", config)
    assert error.value.hint == hint


def test_draws_go_on_beyond_a_dataset(monkeypatch):
    monkeypatch.setattr(gym_entries, "SIZE", gym_entries.CHUNK)
    prompts = [problem.prompt for problem in islice(draw("chain_sum", 1), 3 * gym_entries.CHUNK)]
    assert len(set(prompts)) > 2 * gym_entries.CHUNK


def test_slow_entries_are_kept_and_a_broken_cache_is_no_harm(cache, monkeypatch):
    monkeypatch.setattr(gym_entries, "SLOW", -1.0)
    first = list(islice(draw("gcd", 1), 40))
    kept = sorted(cache.iterdir())
    assert kept
    kept[0].write_text("{")
    assert list(islice(draw("gcd", 1), 40)) == first

    def fail(*arguments):
        raise AssertionError("asked again")

    for _ in draw("gcd", 1):
        break
    monkeypatch.setattr(gym_entries, "ask_gym", fail)
    monkeypatch.setattr(gym_entries, "cores", lambda: 1)
    assert next(gym_entries.entries("gcd", 1, get_task("gcd").config))["answer"] == first[0].data["answer"]


@pytest.mark.parametrize(
    ("module", "name", "config", "count"),
    [
        (countdown, "countdown", {"min_numbers": 3, "max_numbers": 3, "min_value": 1, "max_value": 15}, 40),
        (countdown, "countdown", {}, 10),
    ],
)
def test_exact_fractions_draw_the_same_problems_as_sympy(monkeypatch, module, name, config, count):
    config = {**config, "min_target": 1, "max_target": 60} if config else {}
    dataset = reasoning_gym.create_dataset(name, seed=11, size=count, **config)

    def drawn(symbols):
        monkeypatch.setattr(module, "symbols", symbols)
        return [(e["question"], e["metadata"]["numbers"], e["metadata"]["target"], e["answer"]) for e in dataset]

    theirs, ours = drawn(sympy.symbols), drawn(exact.symbols)
    assert [entry[:3] for entry in theirs] == [entry[:3] for entry in ours]
    for _, numbers, target, expression in ours:
        data = {"numbers": numbers, "target": target}
        assert verify(Problem("p", (), "expression", data), expression).reward == 1


def test_puzzle24_draws_the_same_too(monkeypatch):
    dataset = reasoning_gym.create_dataset("puzzle24", seed=8, size=1)
    entries = []
    for symbols in (sympy.symbols, exact.symbols):
        monkeypatch.setattr(puzzle24, "symbols", symbols)
        entries.append(dataset[0]["question"])
    assert entries[0] == entries[1]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("3*x**2 + sin(x)/2 - C", "3*x**2 + sin(x)/2 - C"),
        ("-(x + 1)*-2", "2*x + 2"),
        ("exp(2*x) + 0.5", "exp(2*x) + 0.5"),
    ],
)
def test_algebra_is_read_as_sympy_reads_it(text, same):
    assert sympy.simplify(parse(text) - sympy.parse_expr(same)) == 0


@pytest.mark.parametrize(
    "text", ["__import__('os')", "x.y", "f(x)", "[1]", "lambda: 1", "9**9**9**9", "(" * 300, "'a'", "x" * 3000, ""]
)
def test_algebra_refuses_the_rest(text):
    with pytest.raises(ValueError):
        parse(text)
