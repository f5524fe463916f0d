"""Numbers as people read them; the card and the terminal write them alike."""

import math
from datetime import datetime

SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def percent(share: float, digits: int = 1) -> str:
    """0.4703 → "47.0 %"."""
    return f"{100 * share:.{digits}f}{SPACE}%"


def points(difference: float, digits: int = 1) -> str:
    """A difference of shares in percentage points: -0.02 → "−2.0"."""
    value = round(100 * difference, digits)
    sign = "+" if value > 0 else MINUS if value < 0 else "±"
    return f"{sign}{abs(value):.{digits}f}"


def count(number: float) -> str:
    """1049984 → "1,049,984"."""
    return f"{number:,.0f}"


def short(number: float) -> str:
    """Three significant digits: 1049984 → "1.05 M"."""
    scale, letter = next(((s, name) for s, name in _SCALES if abs(number) >= 0.9995 * s), (1, ""))
    text = figure(number / scale)
    return f"{text}{SPACE}{letter}" if letter else text


def size(bytes_: float) -> str:
    """4311552 → "4.31 MB"."""
    return short(bytes_) + "B" if bytes_ >= 999.5 else f"{bytes_:.0f}{SPACE}B"


def figure(number: float) -> str:
    """Three significant digits without an exponent where people would write none: 0.3 → "0.3", 2e-05 → "2e-5"."""
    if number == 0:
        return "0"
    if not math.isfinite(number):
        return str(number)
    if abs(number) < 1e-3:
        mantissa, _, exponent = f"{number:.2g}".partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else mantissa
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours before them: 492 → "8:12"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spoken(seconds: float) -> str:
    """492 → "8 minutes"."""
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size or (unit == "minute" and seconds >= 59.5):
            value = seconds / size
            text = f"{value:.0f}" if unit == "minute" or value >= 9.95 else f"{value:.1f}".removesuffix(".0")
            return f"{text}{SPACE}{unit}{'' if text == '1' else 's'}"
    return f"{seconds:.0f}{SPACE}second{'' if round(seconds) == 1 else 's'}"


def day(stamp: str) -> str:
    """ "2026-11-22T01:31:00+0000" → "22 November 2026"; the same in every locale."""
    when = datetime.fromisoformat(stamp)
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"
