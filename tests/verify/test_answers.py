import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.verify.answers import parse_number
from underdog.verify.problem import Problem
from underdog.verify.registry import verify


def reward(verifier, answer, /, **data):
    return verify(Problem("0", (), verifier, data), answer).reward


@given(st.integers(), st.integers(1, 10**6))
def test_a_number_equals_itself_however_it_is_written(number, other):
    for text in (str(number), f"{number:,}", f" {number}.0 ", f"{number}/1", f"{number * other}/{other}"):
        assert reward("number", text, answer=str(number)) == 1


@given(st.fractions(), st.fractions())
def test_numbers_are_right_only_when_equal(given_value, right_value):
    assert reward("number", str(given_value), answer=str(right_value)) == (given_value == right_value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_decimals_are_read_exactly(value):
    assert parse_number(str(value)) == Fraction(value)


@pytest.mark.parametrize("text", ["", ".", "-", "e5", "x = 5", "5 6", "3,4", "1,00", "1/0", "0x10", "1_000", "٣", "∞"])
def test_what_is_not_a_number(text):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("+7", 7),
        ("−7", -7),
        ("2e-3", Fraction(1, 500)),
        ("1.5/2", Fraction(3, 4)),
    ],
)
def test_what_is_a_number(text, value):
    assert parse_number(text) == value


def tree(numbers):
    """Expressions over all of `numbers` in order: (text, exact value or None when it divides by zero)."""
    if len(numbers) == 1:
        return st.just((str(numbers[0]), Fraction(numbers[0])))

    def join(split):
        return st.tuples(tree(numbers[:split]), st.sampled_from("+-*/"), tree(numbers[split:])).map(combine)

    return st.integers(1, len(numbers) - 1).flatmap(join)


def combine(parts):
    (left, a), sign, (right, b) = parts
    text = f"({left}) {sign} ({right})"
    if a is None or b is None or (sign == "/" and b == 0):
        return text, None
    return text, {"+": a + b, "-": a - b, "*": a * b}[sign] if sign != "/" else a / b


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5).flatmap(lambda n: st.tuples(st.just(n), tree(n))))
def test_expressions_are_worth_their_exact_value(case):
    numbers, (text, value) = case
    if value is None:
        assert reward("expression", text, numbers=numbers, target=1) == 0
    elif value.denominator == 1:
        assert reward("expression", text, numbers=numbers[::-1], target=int(value)) == 1
        assert reward("expression", text, numbers=numbers, target=int(value) + 1) == 0
        assert reward("expression", text, numbers=[*numbers, 1], target=int(value)) == 0
    else:
        assert reward("expression", text, numbers=numbers, target=round(value)) == 0


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("6*3-5", True),
        ("-5+6*3", True),
        ("6*3-5.0", False),
        ("6*3-5 = 13", False),
        ("13", False),
        ("6*3-5+0", False),
        ("6*3-5*1**2", False),
        ("+6*3-5", False),  # unary plus is no operation of countdown
        ("6(3)-5", False),
        ("6//3*5", False),
        ("06*3-5", False),
        ("6*3-", False),
        ("()", False),
    ],
)
def test_what_countdown_accepts(text, right):
    assert reward("expression", text, numbers=[6, 3, 5], target=13) == right


HOSTILE = [
    "9**9**9**9",
    "1e999999999",
    "1" * 1_000_000,
    "(" * 100_000,
    "(" * 99 + "6" + ")" * 99,
    "-" * 199 + "6",
    "[" * 100_000,
    "1/" * 50_000 + "1",
    "0." + "0" * 200_000 + "1",
    "1," * 100_000,
    "1" + ",111" * 100_000,
    "__import__('os').system('x')",
    "\x00",
    "\ud800",
    "ﷺ" * 100_000,  # NFKC makes 18 characters of each
    "e" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:12]!a}x{len(text)}")
@pytest.mark.parametrize("verifier", ["number", "expression", "list", "text"])
def test_hostile_answers_are_wrong_and_quickly_so(verifier, text):
    start = time.thread_time()
    assert reward(verifier, text, answer="3", numbers=[6, 3, 5], target=13) == 0
    assert time.thread_time() - start < 0.05


@given(st.text() | st.text("0123456789+-*/()[]'\"., e"))
def test_no_answer_raises(text):
    for verifier, answer in (("number", "3"), ("expression", ""), ("list", "[3, 'a']"), ("text", "3")):
        assert reward(verifier, text, answer=answer, numbers=[6, 3, 5], target=13) in (0, 1)


@given(st.lists(st.integers()), st.lists(st.integers()))
def test_lists_are_right_only_when_equal(given_list, right_list):
    right = given_list == right_list
    assert reward("list", str(given_list), answer=str(right_list)) == right
    assert reward("list", str([str(item) for item in given_list]), answer=str(right_list)) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("7, 12", True),
        ("[7.0,'12']", True),
        ("(7, 12)", True),
        ("7 12", False),
        ("[7, 12", False),
        ("[12, 7]", False),
    ],
)
def test_how_a_list_may_be_written(text, right):
    assert reward("list", text, answer="[7, 12]") == right


def test_an_empty_list_needs_its_brackets():
    assert reward("list", "[ ]", answer="[]") == 1
    assert reward("list", "none", answer="[]") == 0
    assert reward("list", "[]", answer="[7]") == 0


@pytest.mark.parametrize("text", ["Friday", " friday.", "FRIDAY", '"Friday"', "Ｆｒｉｄａｙ"])
def test_texts_are_equal_but_for_form(text):
    assert reward("text", text, answer="Friday") == 1
    assert reward("text", text, answer="Monday") == 0


def test_a_detail_is_one_short_line():
    detail = verify(Problem("0", (), "text", {"answer": "a"}), "line\n" * 1000).detail
    assert "\n" not in detail and len(detail) < 100
