"""Verifiers for answers that a program can compare: number, expression, list, text.

All are 0 or 1 and judge the whole answer ("x = 5" is not the number 5). Nothing here evaluates Python:
numbers are matched by a pattern, expressions go through a white list of syntax nodes and exact fractions.
"""

import ast
import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from underdog.verify.problem import Verdict
from underdog.verify.registry import short, verifier

# Bounded: reading decimal digits takes quadratic time, and an exponent is multiplied out because values are
# exact.
_NUMBER = re.compile(
    r"([+-]?(?:[0-9]{1,3}(?:,[0-9]{3}){1,30}|[0-9]{1,100})?(?:\.[0-9]{0,100})?(?:[eE][+-]?[0-9]{1,3})?)"
    r"(?:/([0-9]{1,100}))?"
)
_EXPRESSION = re.compile(r"[0-9+\-*/() ]{1,200}")
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def parse_number(text: str) -> Fraction | None:
    """The exact value of an integer, a decimal ("1,000.50", "2e-3") or a fraction ("3/4"), else None.

    A comma only separates thousands: "3,4" is not a number.
    """
    found = _NUMBER.fullmatch(text.strip().replace("\N{MINUS SIGN}", "-"))
    if found is None or not any(character.isdigit() for character in found[1].lower().partition("e")[0]):
        return None
    numerator = Fraction(found[1].replace(",", ""))
    denominator = int(found[2] or 1)
    return numerator / denominator if denominator else None


@verifier("number")
def number(answer: str, data: Mapping[str, Any]) -> Verdict:
    """Exact equality of numbers. data: {"answer": "12"}."""
    expected = parse_number(data["answer"])
    if expected is None:
        raise ValueError(f'the answer "{data["answer"]}" is not a number')
    value = parse_number(answer)
    if value is None:
        return _unparsable(answer, "is not a number")
    return _right(answer) if value == expected else _wrong(answer, f"is not {short(data['answer'])}")


@verifier("expression")
def expression(answer: str, data: Mapping[str, Any]) -> Verdict:
    """Countdown: +, -, * and / over each number exactly once. data: {"numbers": [6, 3, 5], "target": 13}."""
    if _EXPRESSION.fullmatch(answer) is None:
        return _unparsable(answer, "is not an arithmetic expression")
    try:
        tree = ast.parse(answer, mode="eval").body
        used = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        if Counter(used) != Counter(data["numbers"]):  # before any arithmetic: it bounds the work
            return _wrong(answer, f"does not use {', '.join(map(str, data['numbers']))} once each")
        value = exact(tree)
    except ZeroDivisionError:
        return _wrong(answer, "divides by zero")
    except (SyntaxError, RecursionError, MemoryError):
        return _unparsable(answer, "is not an arithmetic expression")
    return _right(answer) if value == data["target"] else _wrong(answer, f"is {value}, not {data['target']}")


def exact(node: ast.expr, decimals: bool = False) -> Fraction:
    """The exact value; SyntaxError for any node that is not on the white list. Decimals are on it where they are
    asked for, and mean what is written."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](exact(node.left, decimals), exact(node.right, decimals))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -exact(node.operand, decimals)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return Fraction(node.value)
    if decimals and isinstance(node, ast.Constant) and type(node.value) is float:
        return Fraction(str(node.value))
    raise SyntaxError(f"{type(node).__name__} is not allowed")


@verifier("list")
def sequence(answer: str, data: Mapping[str, Any]) -> Verdict:
    """Equal items in equal order; brackets, quotes and blanks do not matter. data: {"answer": "[7, 12]"}.

    Items are compared as numbers where both are numbers, else as text. An empty list needs its brackets.
    """
    expected = data["answer"]
    same = False
    if len(answer) <= 4 * len(expected) + 100:  # longer than any way to write these items
        given, wanted = _items(answer), _items(expected)
        same = len(given) == len(wanted) and all(map(_same_item, given, wanted))
    return _right(answer) if same else _wrong(answer, f"is not {short(expected)}")


def _items(text: str) -> list[str]:
    text = text.strip()
    if text[:1] + text[-1:] in ("[]", "()") and len(text) > 1:
        text = text[1:-1].strip()
        if not text:
            return []
    return [item.strip().strip("'\"").strip() for item in text.split(",")]


def _same_item(given: str, wanted: str) -> bool:
    if given == wanted:
        return True
    value = parse_number(wanted)
    return parse_number(given) == value if value is not None else folded(given) == folded(wanted)


@verifier("text")
def text(answer: str, data: Mapping[str, Any]) -> Verdict:
    """Equal but for case, white space, Unicode form, enclosing quotes and a final full stop.

    data: {"answer": "Friday"}.
    """
    expected = data["answer"]
    same = len(answer) <= 4 * len(expected) + 100 and folded(answer) == folded(expected)
    return _right(answer) if same else _wrong(answer, f"is not {short(expected)}")


def folded(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    text = text.removesuffix(".").rstrip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    return text


def _right(answer: str) -> Verdict:
    return Verdict.right(f"{short(answer)} is right")


def _wrong(answer: str, why: str) -> Verdict:
    return Verdict.wrong(f"{short(answer)} {why}")


def _unparsable(answer: str, why: str) -> Verdict:
    return Verdict.unparsable(f"{short(answer)} {why}")
