"""Dates and times to ISO 8601, as exact as they were said: "March 2024" is 2024-03, not a day of it.

dateparser reads the words. What it guesses is taken back: the order of day and month where nothing tells it, the
century of two digits, the day of a month that was named alone.
"""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from underdog.tasks.normalize.place import Place, library

NUMERIC = re.compile(r"\b(\d{1,2})([./-])(\d{1,2})(?:\2(?:\d{4}|\d{2}))?\b")
ISO = re.compile(r"\d{4}-\d\d(-\d\d)?\b")
TIME = r"([01]\d|2[0-3]):[0-5]\d"
DATE = rf"\d{{4}}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T{TIME})?)?|-W[0-5]\d)?"  # what stands for a value
ORDERS = {True: "DMY", False: "MDY"}


def dates(text: str, place: Place) -> list[str]:
    """What a date may mean: nothing, one date, or two where day and month may be exchanged."""
    text = text.strip()
    if not re.search(r"[^\W\d_]|\d[./:-]\d|\d{4}", text):
        return []  # a bare number is no date
    numeric = NUMERIC.search(text)
    orders = [True] if ISO.match(text) else [place.day_first]
    if numeric and orders == [None]:
        orders = [True] if numeric[2] == "." else [True, False]  # dots stand where the day comes first
    found = [_iso(text, place, ORDERS.get(order, "DMY") if numeric else None, numeric) for order in orders]
    return list(dict.fromkeys(one for one in found if one))


def times(text: str, place: Place) -> list[str]:
    """HH:MM of a time of day."""
    data = _parser(*_settings(place, None)).get_date_data(text.strip())
    return [data.date_obj.strftime("%H:%M")] if data.period == "time" and data.date_obj else []


def _iso(text: str, place: Place, order: str | None, numeric: Any) -> str | None:
    prefer = "current_period" if numeric and len(re.split(r"\D", numeric[0])) == 3 else None
    data = _parser(*_settings(place, order, prefer)).get_date_data(text)
    if data.date_obj is None or (order == "MDY" and numeric and int(numeric[1]) > 12):
        return None
    if order == "DMY" and numeric and int(numeric[3]) > 12 and not ISO.match(text):
        return None
    return FORMS[data.period](data.date_obj)


def _quarter(day: datetime) -> str:
    first = 3 * ((day.month - 1) // 3) + 1
    return f"{day.year}-{first:02}/{day.year}-{first + 2:02}"  # an interval: ISO 8601 has no quarters


FORMS = {
    "year": lambda day: f"{day.year:04}",
    "quarter": _quarter,
    "month": lambda day: f"{day:%Y-%m}",
    "week": lambda day: "{}-W{:02}".format(*day.isocalendar()[:2]),
    "day": lambda day: f"{day:%Y-%m-%d}",
    "time": lambda day: f"{day:%Y-%m-%dT%H:%M}",
}


def _settings(place: Place, order: str | None, prefer: str | None = None) -> tuple[Any, ...]:
    return tuple(place.languages), place.now, prefer or place.prefer, order


@lru_cache(16)
def _parser(languages: tuple[str, ...], now: datetime, prefer: str, order: str | None) -> Any:
    settings: dict[str, Any] = {
        "RELATIVE_BASE": now, "PREFER_DATES_FROM": prefer, "RETURN_TIME_AS_PERIOD": True, "NORMALIZE": True,
    }  # fmt: skip
    if order:
        settings |= {"DATE_ORDER": order, "PREFER_LOCALE_DATE_ORDER": False}
    return library("dateparser.date").DateDataParser(languages=list(languages), settings=settings)
