"""STEM answers: one of several choices, or a value with its unit."""

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from underdog.errors import extra
from underdog.verify.answers import folded, parse_number
from underdog.verify.mathematics import final_answer
from underdog.verify.problem import Verdict
from underdog.verify.registry import needs, short, verifier

LETTERS = "ABCDEFGHIJ"
TOLERANCE = 0.01  # relative, unless the problem says another
LONGEST = 500  # characters of a value with its unit
_ONLY_LETTER = re.compile(r"\(?\**([A-J])\**\)?(?:[.:,)].*)?", re.DOTALL)
_SAID = re.compile(r"(?:answer|option|choice)(?: is)? ?[:=]? ?\(? ?([A-J])(?![A-Za-z])", re.IGNORECASE)
"""In a text without runs of white space and without stars, where it takes linear time."""


def _check_choice(data: Mapping[str, Any]) -> None:
    needs(data, answer=str)
    known = LETTERS[: len(data["choices"])] if "choices" in data else LETTERS
    if len(data["answer"]) != 1 or data["answer"] not in known:
        raise ValueError(f'the answer "{short(data["answer"])}" is none of the letters {known[0]} to {known[-1]}')


@verifier("choice", check=_check_choice)
def choice(answer: str, data: Mapping[str, Any]) -> Verdict:
    """The letter of a choice, or its text. data: {"answer": "C", "choices": ["…", …]}; choices may be left out."""
    letter = chosen(answer, data.get("choices", ()))
    if letter is None:
        return Verdict.unparsable(f"{short(answer)} names no choice")
    right = letter == data["answer"]
    return Verdict.right(f"{letter} is right") if right else Verdict.wrong(f"{letter} is not {data['answer']}")


def chosen(answer: str, choices: list[str] | tuple[str, ...] = ()) -> str | None:
    """The letter that an answer settles on: the last one that it announces, else its last line."""
    final = re.sub(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]*)\}", r"\1", final_answer(answer))
    if only := _ONLY_LETTER.fullmatch(final.strip()):
        return only[1]
    if said := _SAID.findall(re.sub(r"[\s*]+", " ", answer)):
        return said[-1].upper()
    for letter, text in zip(LETTERS, choices, strict=False):
        if folded(text) == folded(final):
            return letter
    return None


_POWER = re.compile(r"\s*(?:\\times|\\cdot|[x×·*])\s*10\s*\^?\s*\{?\s*([+-]?\d{1,3})\s*\}?")
_VALUE = re.compile(r"([+-]?\s*(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)(.*)", re.DOTALL)
_UNIT = re.compile(r"[\w/*^·° ().\-%µΩ]{0,60}")
_RAISED = re.compile(r"\^|\*\*")
_EXPONENT = r"[-+]?(\d{1,2})(?:\.\d)?"
_PLAINLY_RAISED = re.compile(rf"(?:\^|\*\*)\s*(?:{_EXPONENT}|\(\s*{_EXPONENT}(?:/\d)?\s*\))(?!\s*(?:\d|\^|\*\*))")
_MOST_RAISED = 1000
"""Product of a unit's exponents: pint computes powers of powers, as long as they may take."""


def _check_quantity(data: Mapping[str, Any]) -> None:
    needs(data, answer=str)
    if quantity(data["answer"]) is None:
        raise ValueError(f'the answer "{short(data["answer"])}" is no value with a unit')


@verifier("quantity", check=_check_quantity)
def value_with_unit(answer: str, data: Mapping[str, Any]) -> Verdict:
    """A value in any unit of the same dimension. data: {"answer": "9.81 m/s^2", "tolerance": 0.01} (relative)."""
    import pint

    given, wanted = quantity(final_answer(answer)), quantity(data["answer"])
    if given is None:
        return Verdict.unparsable(f"{short(answer)} is no value with a unit")
    try:
        value = given.to(wanted.units).magnitude
    except pint.errors.PintError:
        return Verdict.wrong(f"{short(str(given))} cannot be turned into {wanted.units or 'a plain number'}")
    except (OverflowError, ZeroDivisionError, ValueError):
        return Verdict.unparsable(f"{short(answer)} is beyond all measure")
    tolerance = data.get("tolerance", TOLERANCE)
    if math.isclose(value, wanted.magnitude, rel_tol=tolerance, abs_tol=1e-300):
        return Verdict.right(f"{short(str(given))} is right")
    return Verdict.wrong(f"{short(str(given))} is not {data['answer']}")


def quantity(text: str) -> Any:
    """A pint quantity, or None where the text is none: "3.0 \\times 10^8 m/s", "5 kJ/mol", "12 %"."""
    if len(text) > LONGEST:
        return None
    text = " ".join(re.sub(r"\\(?:text|mathrm|mbox|,|;|!| )", " ", text.replace("$", "")).split())
    found = _VALUE.fullmatch(re.sub(r"[{}~]", lambda m: "" if m[0] != "~" else " ", _POWER.sub(r"e\1", text)).strip())
    number = parse_number(found[1].replace(" ", "")) if found else None
    if number is None:
        return None
    unit = re.sub(r"(?<=[A-Za-zΩ])([-−]\d)", r"^\1", found[2].replace("\\", "").replace("−", "-")).strip().rstrip(".")
    unit = re.sub(rf"[{_SMALL}]+", lambda m: "^" + m[0].translate(_SMALL_DIGITS), unit)
    if not _UNIT.fullmatch(unit):
        return None
    unit = unit.replace("°C", "degC").replace("°F", "degF").replace("°", "degree").replace("·", "*")
    unit = re.sub(r"(?<=[A-Za-z0-9)])\s+(?=[A-Za-z(])", "*", unit)
    if not _plainly_raised(unit):
        return None
    try:
        return _units().Quantity(float(number), _units().parse_units(unit))
    except Exception:  # pint raises half a dozen kinds for what is no unit
        return None


_SMALL = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_SMALL_DIGITS = str.maketrans(_SMALL, "-0123456789")


def _plainly_raised(unit: str) -> bool:
    """Whether every exponent is a small number, and all of them together not too much."""
    plain = [int(one or other) for one, other in _PLAINLY_RAISED.findall(unit)]
    return len(plain) == len(_RAISED.findall(unit)) and math.prod(max(1, one) for one in plain) <= _MOST_RAISED


@cache
def _units() -> Any:
    with extra("verify", 'The verifier "quantity"'):
        import pint
    return pint.UnitRegistry()
