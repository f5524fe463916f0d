"""Equations between numbers that a text states, and whether they hold.

Only what is certain counts: where a side has letters, powers or percents beside it, or does not parse, nothing is said.
"""

import ast
import re
from fractions import Fraction

from underdog.verify.answers import exact

_LEFT = re.compile(r"(?P<before>^|[^\d.()+*/ -]) ?(?P<side>[\d.()+*/ -]+)$")
_RIGHT = re.compile(r" ?(?P<side>[\d.()+*/ -]+)(?P<after>.?)")
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-"})


def false_equation(text: str) -> str | None:
    """The first equation of `text` that does not hold ("15+13=27"); None where all do, or none is stated. A decimal on
    the right may be rounded."""
    for line in text.translate(_SIGNS).splitlines():
        for sign in re.finditer(r"(?<![=<>!:])=(?!=)", line):
            left, right = _LEFT.search(line[: sign.start()]), _RIGHT.match(line[sign.end() :])
            if not left or not right or not _stands_alone(left, right):
                continue
            sides = _own(left["side"]), _own(right["side"])
            values = [_value(side) for side in sides]
            if None not in values and abs(values[0] - values[1]) > _rounding(sides[1]):
                return "=".join(sides)
    return None


def _stands_alone(left: re.Match[str], right: re.Match[str]) -> bool:
    """Whether the sides are all that stands there: "so 2+3=5", not "x2", "x - 2", "3^2" on the left, "5x", "5%" on the
    right."""
    if right["after"] in ("^", "%") or (re.match(r"\w", right["after"]) and not right["side"].endswith(" ")):
        return False
    if not re.match(r"[\w^%$]", left["before"]):
        return True
    return left.start("side") > left.end("before") and left["side"].lstrip()[0] not in "+-*/"


def _own(side: str) -> str:
    """Without a bracket that was opened before or is closed behind, and without the end of the sentence."""
    side = side.strip(" .")
    while side.startswith("(") and side.count("(") > side.count(")"):
        side = side[1:].lstrip()
    while side.endswith(")") and side.count(")") > side.count("("):
        side = side[:-1].rstrip(" .")
    return side


def _value(side: str) -> Fraction | None:
    """Of numbers, + - * / and brackets; None for all else."""
    try:
        return exact(ast.parse(side, mode="eval").body, decimals=True)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _rounding(side: str) -> Fraction:
    """Half a unit of the last place of a decimal."""
    _, point, places = side.rpartition(".")
    return Fraction(1, 2 * 10 ** len(places)) if point and places.isdigit() else Fraction(0)
