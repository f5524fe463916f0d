import time

import pytest

pytest.importorskip("math_verify")

from underdog.verify import mathematics
from underdog.verify.mathematics import final_answer, same_writing
from underdog.verify.problem import Outcome, Problem
from underdog.verify.registry import get_verifier, verify
from underdog.verify.workers import Crashed, TimedOut

RIGHT, WRONG, UNPARSABLE = Outcome.RIGHT, Outcome.WRONG, Outcome.UNPARSABLE


def judged(gold, answer):
    return verify(Problem("p", (), "math", {"answer": gold}), answer)


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("so \\boxed{\\frac{1}{2}} or \\boxed{3}", "3"),
        ("\\boxed{\\sqrt{2}}.", "\\sqrt{2}"),
        ("The answer is $x = 5$.", "x = 5"),
        ("**Answer:** 7", "7"),
        ("9*2=18\n#### 18", "18"),
        ("first\n\n 42 \n", "42"),
        ("\\(\\pi\\)", "\\pi"),
        ("\\boxed{1", "\\boxed{1"),
        ("", ""),
    ],
)
def test_one_expression_of_an_answer_is_judged(text, final):
    assert final_answer(text) == final


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        ("\\frac{3}{4}", "\\boxed{0.75}", RIGHT),
        ("\\frac34", "3/4", RIGHT),
        ("1,000", "$1000$", RIGHT),
        ("50\\%", "0.5", RIGHT),
        ("x^2+2x+1", "\\boxed{(x+1)^2}", RIGHT),
        ("3\\sqrt{2}", "\\sqrt{18}", RIGHT),
        ("(1,2)", "\\boxed{\\left(1, \\; 2\\right)}", RIGHT),
        ("\\{1,2,3\\}", "\\boxed{\\{3,2,1\\}}", RIGHT),
        ("\\text{Monday}", "Monday", RIGHT),
        ("18", "\\boxed{18} no, \\boxed{19}", WRONG),  # listing answers does not pay
        ("18", "\\boxed{17, 18, 19}", WRONG),
        ("(1,2)", "(2,1)", WRONG),
        ("x+1", "x+2", WRONG),
        ("5", "", UNPARSABLE),
        ("5", "1" * 600, UNPARSABLE),
    ],
)
def test_equal_in_value_or_in_meaning(gold, answer, outcome):
    verdict = judged(gold, answer)
    assert verdict.outcome is outcome, verdict
    assert verdict.reward == (outcome is RIGHT)


def test_the_two_judges_are_independent(monkeypatch):
    """What one of them accepts is right, whatever the other says."""
    monkeypatch.setattr(mathematics, "_ask", lambda message: {"parsed": True, "equal": False})
    assert judged("1/2", "\\frac{1}{2}").outcome is RIGHT
    monkeypatch.setattr(mathematics, "_ask", lambda message: {"parsed": True, "equal": True})
    monkeypatch.setattr(mathematics, "same_writing", lambda given, gold: False)
    assert judged("1/2", "\\frac{1}{2}").outcome is RIGHT


@pytest.mark.parametrize(("error", "outcome"), [(TimedOut(), Outcome.TIMED_OUT), (Crashed("x"), Outcome.CRASHED)])
def test_a_judge_that_ends_badly_is_not_a_silent_no(monkeypatch, error, outcome):
    def fail(message):
        raise error

    monkeypatch.setattr(mathematics, "_ask", fail)
    assert judged("x", "y+1").outcome is outcome


def test_an_answer_without_end_is_cut_off_and_the_next_one_judged(monkeypatch):
    monkeypatch.setattr(mathematics, "SECONDS", 0.5)
    judged("x", "x + 1")  # the worker has started
    begun = time.monotonic()
    verdict = judged("5", "\\boxed{9999999999!}")
    assert verdict.outcome is Outcome.TIMED_OUT and verdict.reward == 0
    assert time.monotonic() - begun < 20
    monkeypatch.setattr(mathematics, "SECONDS", 10.0)
    assert judged("2\\sqrt{3}", "\\sqrt{12}").outcome is RIGHT


@pytest.mark.parametrize(
    "text", ["(" * 400, "\\frac{" * 80, "10**10**10**10", "__import__('os').abort()", "\x00", "\ud800"]
)
def test_hostile_answers_get_a_verdict(monkeypatch, text):
    monkeypatch.setattr(mathematics, "SECONDS", 0.5)
    assert judged("5", f"\\boxed{{{text}}}").reward == 0


def test_gold_that_cannot_be_read_is_named():
    with pytest.raises(ValueError, match="no mathematics"):
        get_verifier("math").check({"answer": "?!"})
    with pytest.raises(ValueError, match="answer"):
        get_verifier("math").check({})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("[1, 2)", "[1,2)", True),
        ("(0.5, 1)", "(1/2, 1)", True),
        ("(1)", "(1)", True),
        ("", "", False),
        ("1,2", "12", False),
    ],
)
def test_equal_writing(one, other, same):
    assert same_writing(one, other) == same
