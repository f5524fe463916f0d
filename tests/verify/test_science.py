import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pint")

from underdog.verify.problem import Outcome, Problem
from underdog.verify.registry import get_verifier, verify
from underdog.verify.science import chosen, quantity

RIGHT, WRONG, UNPARSABLE = Outcome.RIGHT, Outcome.WRONG, Outcome.UNPARSABLE
CHOICES = {"answer": "C", "choices": ["red", "green", "blue"]}


def judged(verifier, data, answer):
    return verify(Problem("p", (), verifier, data), answer)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("C", RIGHT),
        ("(C)", RIGHT),
        ("**C**", RIGHT),
        ("C. blue", RIGHT),
        ("It is A at first sight.\nAnswer: C", RIGHT),
        ("\\boxed{\\text{C}}", RIGHT),
        ("The answer is (C), not A.", RIGHT),
        ("Blue.", RIGHT),
        ("B", WRONG),
        ("Answer: A", WRONG),
        ("green", WRONG),
        ("Certainly!", UNPARSABLE),
        ("I do not know", UNPARSABLE),
    ],
)
def test_choices(answer, outcome):
    assert judged("choice", CHOICES, answer).outcome is outcome


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        ("9.81 m/s^2", "9.8 m/s^2", RIGHT),
        ("9.81 m/s^2", "The answer is $9.81 \\text{ m/s}^2$.", RIGHT),
        ("9.81 m/s^2", "981 cm s^-2", RIGHT),
        ("9.81 m/s^2", "9.81", WRONG),
        ("9.81 m/s^2", "9.81 m/s", WRONG),
        ("3e8 m/s", "\\boxed{3.0 \\times 10^{8} \\, \\mathrm{m/s}}", RIGHT),
        ("5 kJ/mol", "5000 J/mol", RIGHT),
        ("25 °C", "298.15 K", RIGHT),
        ("12", "12.05", RIGHT),
        ("12", "13", WRONG),
        ("12 N", "12 frobs", UNPARSABLE),
        ("12 N", "much", UNPARSABLE),
        ("9.81 m/s^2", "9.81 m·s⁻²", RIGHT),
        ("2 V/Hz^0.5", "2 V/Hz^(1/2)", RIGHT),
        ("1 m", "1e999 m**999999999", UNPARSABLE),
    ],
)
def test_values_with_units(gold, answer, outcome):
    verdict = judged("quantity", {"answer": gold}, answer)
    assert verdict.outcome is outcome, verdict


def test_the_tolerance_is_the_problems():
    assert judged("quantity", {"answer": "100 m", "tolerance": 0.1}, "109 m").outcome is RIGHT
    assert judged("quantity", {"answer": "100 m", "tolerance": 0.001}, "101 m").outcome is WRONG


ENDLESS_UNITS = ["m^9^9^9", "m**9**9**9", "m⁹⁹⁹⁹⁹⁹⁹⁹", "2^(99*99*99*99*99)", "((((2^99)^99)^99)^99)^99", " " * 99_999]
ENDLESS_CHOICES = ["The answer" + "\n" * 9999 + "7 and that is all", "answer" + "*" * 9999 + "7", "answer (" * 9999]


@pytest.mark.parametrize("text", [*(f"5 {unit}" for unit in ENDLESS_UNITS), *ENDLESS_CHOICES], ids=range(9))
def test_what_would_compute_for_ever_is_refused_at_once(text):
    quantity("5 m")  # what pint takes to begin does not count
    start = time.thread_time()
    assert judged("quantity", {"answer": "5 m"}, text).outcome is not RIGHT
    assert judged("choice", CHOICES, text).outcome is UNPARSABLE
    assert time.thread_time() - start < 3  # what has no bound takes hours


@given(st.text())
def test_any_text_gets_a_verdict(text):
    assert chosen(text, ["a", "b"]) in (*"ABCDEFGHIJ", None)
    quantity(text)


@pytest.mark.parametrize(
    ("verifier", "data"),
    [
        ("choice", {"answer": "D", "choices": ["a", "b"]}),
        ("choice", {}),
        ("quantity", {"answer": "x"}),
        ("quantity", {}),
    ],
)
def test_data_that_cannot_be_judged_by_is_named(verifier, data):
    with pytest.raises(ValueError):
        get_verifier(verifier).check(data)
