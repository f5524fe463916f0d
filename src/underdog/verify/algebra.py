"""Algebraic expressions as SymPy objects, by way of Python's syntax tree: nothing runs but what is listed here."""

import ast
import operator
from collections.abc import Mapping
from typing import Any

import sympy

LONGEST = 2_000  # characters
LARGEST_POWER = 10_000
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS = (
    "sin cos tan cot sec csc asin acos atan sinh cosh tanh asinh acosh atanh exp log ln sqrt Abs erf Si Ci Ei li gamma"
)
_NAMES = {name: getattr(sympy, name) for name in ("pi", "E", "I")}
_CALLS = {name: getattr(sympy, name) for name in _FUNCTIONS.split()}


def parse(text: str, local_dict: Mapping[str, Any] | None = None) -> sympy.Expr:
    """As sympy.parse_expr for sums, products, powers and elementary functions. Raises ValueError for the rest."""
    if len(text) > LONGEST:
        raise ValueError(f"an expression of {len(text):,} characters")
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, {**_NAMES, **(local_dict or {})})
    except (SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(f"{text[:40]!r} is no algebraic expression") from error


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return sympy.Integer(node.value) if type(node.value) is int else sympy.Float(str(node.value))
    if isinstance(node, ast.Name):
        return names.get(node.id) or sympy.Symbol(node.id)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand, names))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left, names), _value(node.right, names)
        if isinstance(node.op, ast.Pow) and right.is_number and abs(right) > LARGEST_POWER:
            raise ValueError("a power beyond all bounds")
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS and not node.keywords:
        return _CALLS[node.func.id](*(_value(argument, names) for argument in node.args))
    raise ValueError(f"{type(node).__name__} is not allowed")
