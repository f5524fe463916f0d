import pytest

from underdog.errors import UserError
from underdog.verify.problem import Problem
from underdog.verify.registry import VerifierFailed, verify

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
    with pytest.raises(VerifierFailed, match=r"problem abc \(sums\): KeyError: 'target'"):
        verify(Problem("abc", (), "expression", {"numbers": [1]}, task="sums"), "1")
