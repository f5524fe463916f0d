import pytest

from underdog.verify import code
from underdog.verify.code import extract, same_output, same_value
from underdog.verify.problem import Outcome, Problem
from underdog.verify.registry import get_verifier, verify
from underdog.verify.sandbox import choose
from underdog.verify.sandbox.job import Report


class Recorded:
    """A sandbox that remembers what it was asked and reports what it is told."""

    def __init__(self, report):
        self.report, self.jobs = report, []

    def run(self, job):
        self.jobs.append(job)
        return self.report


@pytest.fixture
def reports(monkeypatch):
    def install(report):
        sandbox = Recorded(report)
        monkeypatch.setattr(code, "sandbox", lambda: sandbox)
        return sandbox

    return install


CASES = {"cases": [{"input": "1", "output": "2"}, {"input": "2", "output": "4"}]}
CALLS = {"function": "f", "cases": [{"arguments": [1], "expected": [1, 2.5]}]}
TESTS = {"tests": "assert f(1) == 41", "prelude": "import math"}


def judged(data, answer="f"):
    return verify(Problem("p", (), "code", data), answer)


def test_the_reward_is_the_share_that_passed(reports):
    reports(Report("finished", [{"output": "2\n", "error": None}, {"output": "5", "error": None}]))
    verdict = judged(CASES)
    assert (verdict.outcome, verdict.reward) == (Outcome.WRONG, 0.5)
    assert verdict.detail == "1 of 2 tests passed; test 2: printed 5, not 4"


@pytest.mark.parametrize(
    ("report", "outcome", "detail"),
    [
        (Report("timed out", []), Outcome.TIMED_OUT, "longer than allowed"),
        (Report("crashed", []), Outcome.CRASHED, "process ended"),
        (Report("finished", []), Outcome.WRONG, "0 of 2 tests passed; test 1: not run"),
        (
            Report("finished", [{"output": "", "error": "SyntaxError: x (line 1)"}] * 2),
            Outcome.UNPARSABLE,
            "SyntaxError: x",
        ),
        (Report("finished", [{"output": "2", "error": None}, {"output": "4", "error": None}]), Outcome.RIGHT, "2 of 2"),
        (Report("finished", [{"output": "2", "error": "E: x"}, {"output": "4", "error": None}]), Outcome.WRONG, "E: x"),
    ],
)
def test_a_verdict_says_how_it_ended(reports, report, outcome, detail):
    reports(report)
    verdict = judged(CASES)
    assert verdict.outcome is outcome and detail in verdict.detail
    assert verdict.reward == {Outcome.RIGHT: 1.0, Outcome.WRONG: 0.5 if "E: x" in detail else 0.0}.get(outcome, 0.0)


@pytest.mark.parametrize(
    "data", [CASES | {"cases": [{"input": "1", "output": "41414"}]}, CALLS | {"solution": "41414"}]
)
def test_what_is_expected_is_not_sent(reports, data):
    sandbox = reports(Report("finished", [{"output": "41414", "error": None, "value": [1, 2.5]}]))
    judged(data)
    assert "41414" not in repr(sandbox.jobs) and "2.5" not in repr(sandbox.jobs)


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ([1, {"float": "0x1.4p+1"}], True),
        ({"tuple": [1, {"float": "0x1.4p+1"}]}, True),
        ([1], False),
        ({"object": 0}, False),
    ],
)
def test_values_are_compared_here(reports, value, right):
    reports(Report("finished", [{"value": value}]))
    assert (judged(CALLS).reward == 1) == right


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("print(1)", "print(1)"),
        ("So:\n```python\na\n```\nor\n```\nb\n```", "b\n"),
        ("```python\ndef f(): pass\n```\nUse it:\n```python\nf()\n```", "def f(): pass\n"),
        ("```json\n{}\n```\nx", "```json\n{}\n```\nx"),
    ],
)
def test_the_code_of_an_answer(answer, found):
    assert extract(answer, "f") == found


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        ("1 2 \n3\n\n", "1 2\n3", True),
        ("1\n2", "1 2", False),
        ("0.33333333", "0.3333333333", True),
        ("3", "3.0", True),
        ("3.0", "3", False),
        ("nan", "1.0", False),
        ("", "x", False),
    ],
)
def test_output_is_compared_by_words_and_lines(output, expected, same):
    assert same_output(output, expected) == same


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [
        ((1, [2]), [1, [2]], True),
        ({1: "a"}, {"1": "a"}, True),
        (0.1 + 0.2, 0.3, True),
        (True, 1, False),
        ("1", 1, False),
        ([1, 2], [1], False),
        ({1, 2}, [1, 2], False),
    ],
)
def test_values_are_what_json_can_say(value, expected, same):
    assert same_value(value, expected) == same


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "cases"),
        ({"cases": []}, "empty"),
        ({"cases": [{"input": "1"}]}, "output"),
        ({"function": "f", "cases": [{"input": "1", "output": "2"}]}, "arguments"),
        ({"tests": "f(1)"}, "asserts nothing"),
    ],
)
def test_data_without_tests_is_named(data, why):
    with pytest.raises(ValueError, match=why):
        get_verifier("code").check(data)


@pytest.mark.parametrize(
    ("data", "answer", "reward"),
    [
        ({"cases": [{"input": "3\n", "output": "6"}, {"input": "-1", "output": "-2"}]}, "print(2*int(input()))", 1),
        ({"function": "f", "cases": [{"arguments": [[1, 2]], "expected": [2, 1]}]}, "def f(x): return x[::-1]", 1),
        ({"tests": "assert f(2) == 4\nassert f(3) == 9"}, "```python\ndef f(x): return 2 * x\n```", 0.5),
        ({"tests": "assert f(2) == 4"}, "def f(x) return x", 0),
    ],
)
def test_for_real(data, answer, reward):
    try:
        choose.sandbox()
    except Exception as problem:
        pytest.skip(str(problem))
    verdict = judged(data, answer)
    assert verdict.reward == reward
    assert (verdict.outcome is Outcome.UNPARSABLE) == (answer[-8:] == "return x" and "def f(x) " in answer)
