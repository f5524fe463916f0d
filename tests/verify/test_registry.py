import pytest

from underdog.errors import UserError
from underdog.verify.problem import Outcome, Problem
from underdog.verify.registry import VerifierFailed, judge, verify, verify_all

TWELVE = Problem("abc", (), "number", {"answer": "12"}, task="sums")


@pytest.mark.parametrize(
    ("completion", "reward", "detail"),
    [
        ("12", 1, "12 is right"),
        ("<think>5+7=12</think>12", 1, "12 is right"),
        ("5+7=12</think>\n\n12\n", 1, "12 is right"),  # the template had opened the reasoning
        ("<think>13</think>13</think>12", 1, "12 is right"),
        ("<think>12</think>13", 0, "13 is not 12"),
        ("<think>5+7=12", 0, "unclosed reasoning"),
        ("<think></think><think>12", 0, "unclosed reasoning"),
        ("12<think>", 0, "unclosed reasoning"),
        ("<think>12</think>", 0, "no answer"),
        ("", 0, "no answer"),
    ],
)
def test_only_what_follows_the_last_think_tag_is_judged(completion, reward, detail):
    verdict = verify(TWELVE, completion)
    assert (verdict.reward, verdict.detail) == (reward, detail)


def test_an_unknown_verifier_is_the_users_mistake():
    with pytest.raises(UserError, match='no verifier "nubmer"') as error:
        verify(Problem("abc", (), "nubmer", {}), "12")
    assert error.value.hint == 'Did you mean "number"?'


def test_a_verifier_that_fails_names_the_problem():
    broken = Problem("abc", (), "expression", {"numbers": [1]}, task="sums")
    with pytest.raises(VerifierFailed, match=r"problem abc \(sums\): KeyError: 'target'"):
        judge(broken, "1")
    verdict = verify(broken, "1")
    assert (verdict.outcome, verdict.reward) == (Outcome.CRASHED, 0)
    assert "problem abc (sums)" in verdict.detail


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [("12", Outcome.RIGHT), ("13", Outcome.WRONG), ("twelve", Outcome.UNPARSABLE), ("<think>12", Outcome.UNPARSABLE)],
)
def test_a_verdict_says_how_it_ended(completion, outcome):
    assert verify(TWELVE, completion).outcome is outcome


def test_many_verdicts_come_in_order():
    pairs = [(TWELVE, str(number)) for number in range(20)]
    assert [verdict.reward for verdict in verify_all(pairs)] == [float(number == 12) for number in range(20)]
