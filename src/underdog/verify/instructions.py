"""Instruction following: IFEval's 25 kinds of verifiable instruction (arXiv 2311.07911), as its own code judges them.

data: {"instruction_id_list": ["punctuation:no_comma", …], "kwargs": [{}, …]}. The reward is the share that is followed.
"""

from collections.abc import Mapping
from typing import Any

from underdog.errors import nearest
from underdog.verify.instruction_kinds import KINDS
from underdog.verify.problem import Verdict
from underdog.verify.registry import needs, verifier

LONGEST = 20_000  # characters of a response: the patterns take quadratic time in the worst case


def check(data: Mapping[str, Any]) -> None:
    """Raises ValueError for unknown instructions and for arguments that one lacks or does not know."""
    needs(data, instruction_id_list=list, kwargs=list)
    if len(data["instruction_id_list"]) != len(data["kwargs"]) or not data["kwargs"]:
        raise ValueError('"instruction_id_list" and "kwargs" must be of one length, and not empty')
    if not all(isinstance(given, dict | None) for given in data["kwargs"]):
        raise ValueError('"kwargs" must hold objects')
    for name, arguments in _instructions(data):
        if name not in KINDS:
            guess = nearest(name, KINDS)
            raise ValueError(f'there is no instruction "{name}"' + (f'; is "{guess}" meant?' if guess else ""))
        if arguments.keys() != KINDS[name].needs:
            raise ValueError(f'"{name}" needs {", ".join(sorted(KINDS[name].needs)) or "no arguments"}')
        KINDS[name].follows("An answer.", **arguments)


@verifier("instructions", check=check)
def instructions(answer: str, data: Mapping[str, Any]) -> Verdict:
    """The share of instructions that the response follows."""
    if len(answer) > LONGEST:
        return Verdict.unparsable(f"a response of {len(answer):,} characters")
    asked = _instructions(data)
    broken = [name for name, arguments in asked if not KINDS[name].follows(answer, **arguments)]
    followed = len(asked) - len(broken)
    detail = f"{followed} of {len(asked)} instructions followed" + (f"; not {', '.join(broken)}" if broken else "")
    return Verdict.share(followed / len(asked), detail)


def _instructions(data: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments; a data set that was a table has every argument everywhere, null where there is none."""
    pairs = zip(data["instruction_id_list"], data["kwargs"], strict=True)
    return [(name, {key: value for key, value in (given or {}).items() if value is not None}) for name, given in pairs]
