"""Runs a data set's tests in one process while the code under test answers from another.

The tests may hold expected answers: they are never in the memory of the code that they judge. A name that the tests use
and do not define is a module of the standard library, or is looked up over there. Standard library only.
"""

import ast
import builtins
import importlib
import sys
from collections.abc import Callable
from typing import Any

from underdog.verify.frames import Closed, Late
from underdog.verify.sandbox.values import Unknown, decode, encode

Ask = Callable[[dict[str, Any]], dict[str, Any]]


class Gone(BaseException):
    """The code under test answers no more. Not an Exception: tests must not catch it."""


class _There:
    """An object that lives with the code under test."""

    def __init__(self, number: int):
        self.number = number


class _Named:
    """A name over there: a function to call, or an argument to pass."""

    def __init__(self, name: str, ask: Ask):
        self.name, self._ask = name, ask

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        request = {
            "name": self.name,
            "arguments": [encode(value, _refer) for value in arguments],
            "keywords": {key: encode(value, _refer) for key, value in keywords.items()},
        }
        try:
            answer = self._ask(request)
        except (Closed, Late, OSError) as error:
            raise Gone("the program hung or ended") from error
        if answer.get("broken"):
            raise Gone(answer["error"])
        if "value" not in answer:
            raise _error(str(answer.get("error")))
        try:
            return decode(answer["value"], _There)
        except Unknown as error:
            raise ValueError(f"returned {error}") from error


def _refer(value: Any) -> int | str:
    """How the other side knows an object that lives there."""
    if isinstance(value, _There):
        return value.number
    if isinstance(value, _Named):
        return value.name
    raise TypeError(f"the tests pass an object of the class {type(value).__name__}, which cannot cross over")


def examine(prelude: str, tests: str, entry: str | None, names: list[str], ask: Ask) -> dict[str, Any]:
    """{"passed", "total", "why"}: how many assertions held, of how many, and what the first failure was.

    prelude: code that the tests rely on. entry: where the tests define `check(candidate)` (HumanEval), the name of the
    function that they are to check. names: what is over there though Python has something of that name, too.
    What is not an assertion and fails ends the tests; the rest then counts as failed.
    """
    scope = _Scope(names, ask)
    record = scope["__record__"] = _Record()
    tree = _Recorded().visit(ast.parse(tests))
    asserted = sum(isinstance(node, ast.Assert) for node in ast.walk(tree))
    try:
        exec(compile(prelude, "prelude.py", "exec"), scope)
        exec(compile(ast.fix_missing_locations(tree), "tests.py", "exec"), scope)
        if entry is not None:
            scope["check"](_Named(entry, ask))
    except Gone as error:
        record.failed(str(error))
    except Exception as error:
        record.failed(f"{type(error).__name__}: {error}")
    missing = max(0, asserted - record.total)
    return {"passed": record.passed, "total": record.total + missing, "why": record.why[:200]}


class _Record:
    def __init__(self):
        self.passed = self.total = 0
        self.why = ""

    def held(self) -> None:
        self.passed += 1
        self.total += 1

    def failed(self, why: str) -> None:
        self.total += 1
        self.why = self.why or why


class _Recorded(ast.NodeTransformer):
    """Each assertion counts, and a failed one does not end the tests."""

    def visit_Assert(self, node: ast.Assert) -> ast.Try:
        source = ast.unparse(node.test)
        template = "try:\n pass\nexcept Exception as __error__:\n __record__.failed(str())\nelse:\n __record__.held()"
        (wrapped,) = ast.parse(template).body
        wrapped.body = [node]
        shown = ast.parse(f"{source!r} + (': ' + repr(__error__) if __error__.args else '')", mode="eval").body
        wrapped.handlers[0].body[0].value.args = [shown]
        return ast.copy_location(wrapped, node)


class _Scope(dict):
    """Globals of the tests."""

    def __init__(self, names: list[str], ask: Ask):
        super().__init__(__name__="tests", **{name: _Named(name, ask) for name in names})
        self._ask = ask

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) or name.startswith("__"):
            raise KeyError(name)
        if name in sys.stdlib_module_names:
            return importlib.import_module(name)
        return _Named(name, self._ask)


def _error(text: str) -> Exception:
    """The exception that was raised over there, where it is a built-in one."""
    name, _, message = text.partition(": ")
    kind = getattr(builtins, name, None)
    ordinary = isinstance(kind, type) and issubclass(kind, Exception)
    try:
        return kind(message) if ordinary else RuntimeError(text)
    except TypeError:  # some want more arguments
        return RuntimeError(text)
