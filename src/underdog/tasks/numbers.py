"""Numbers as people write them: 1 234,50 and 1,234.50 and 1'234.50."""

import re
from decimal import Decimal

NUMBER = re.compile(r"(?<![\w.,])[-−]?\d+(?:[ \u00a0\u202f'’]\d{3})*(?:[.,]\d+)*(?!\d)")
_SPACES = re.compile(r"[ \u00a0\u202f'’]")


def numbers(written: str, decimal: str | None = None) -> list[Decimal]:
    """What a written number may mean: nothing, one number, or two ("1,234" is 1234 or 1.234).

    Args:
        decimal: the mark before decimals, "." or ",", where it is known.
    """
    plain = _SPACES.sub("", written.strip().replace("−", "-"))
    if not re.fullmatch(r"-?\d+(?:[.,]\d+)*", plain):
        return []
    marks = set(re.findall(r"[.,]", plain))
    if not marks:
        return [Decimal(plain)]
    last = plain[max(plain.rfind("."), plain.rfind(","))]
    if len(marks) == 2 or plain.count(last) == 1 == len(marks):
        readings = [_with(plain, mark) for mark in ([last] if len(marks) == 2 else [last, _other(last)])]
    else:
        readings = [_with(plain, _other(last))]  # several of one mark: thousands
    found = [reading for reading in readings if reading is not None]
    if len(found) == 2 and decimal:
        found = [found[0] if decimal == last else found[1]]
    return found


def _other(mark: str) -> str:
    return "," if mark == "." else "."


def _with(plain: str, decimal: str) -> Decimal | None:
    """The number if `decimal` stands before decimals and the other mark between thousands."""
    whole, _, rest = plain.partition(decimal)
    thousands = re.escape(_other(decimal))
    if decimal in rest or _other(decimal) in rest:
        return None
    if _other(decimal) in whole and not re.fullmatch(rf"-?[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+", whole):
        return None
    return Decimal(whole.replace(_other(decimal), "") + (f".{rest}" if rest else ""))
