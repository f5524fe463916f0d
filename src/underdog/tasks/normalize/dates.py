"""Dates and times to ISO 8601, as exact as they were said: "March 2024" is 2024-03, not a day of it.

dateparser reads the words. What it guesses is taken back: the order of day and month where nothing tells it, the
century of two digits, the day of a month that was named alone.
"""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from underdog.tasks.normalize.names import lemmas
from underdog.tasks.normalize.place import Place, library

NUMERIC = re.compile(r"\b(\d{1,2})([./-])(\d{1,2})(?:\2(?:\d{4}|\d{2}))?\b")
ISO = re.compile(r"\d{4}-\d\d(-\d\d)?\b")
TIME = r"([01]\d|2[0-3]):[0-5]\d"
DATE = rf"\d{{4}}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T{TIME})?)?|-W[0-5]\d)?"  # what stands for a value
YEAR = re.compile(r"(?<!\d)(\d{4})\s*(?:год[ауе]?|г)\b\.?", re.I)
UNIT = re.compile(
    r"\b(год\w*|лет|месяц\w*|недел\w*|день|дн[яие]\w*|час\w*|минут\w*"
    r"|years?|months?|weeks?|days?|hours?|minutes?)\b", re.I,
)  # fmt: skip
DIRECTION = re.compile(
    r"\b(назад|через|спустя|эт\w+|следующ\w+|прошл\w+|будущ\w+|ago|in|from|this|next|last|coming|after)\b", re.I
)
PARTS_OF_DAY = ("morning", "afternoon", "evening", "night", "утром", "днём", "днем", "вечером", "ночью")
JOINING = ("в", "во", "на", "с", "год", "г")
CLOCK = re.compile(r"([01]?\d|2[0-3])(?:[:.]?([0-5]\d))?(?:\s*(?:hrs?|h|ч))?")  # 13, 1430, 14.30
HOURS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
PARTS = {"half": 30, "quarter": 15, "a quarter": 15, "five": 5, "ten": 10, "twenty": 20}
SPOKEN = re.compile(rf"({'|'.join(PARTS)}|\d{{1,2}})(?: minutes)? (past|to) (\d{{1,2}}|{'|'.join(HOURS)})")
ORDERS = {True: "DMY", False: "MDY"}


def dates(text: str, place: Place) -> list[str]:
    """What a date may mean: nothing, one date, or two where day and month may be exchanged."""
    text = YEAR.sub(r"\1", text.strip())
    if UNIT.search(text) and not DIRECTION.search(text):
        return []  # "two years" is a while, which dateparser takes for one that has passed
    if not re.search(r"[^\W\d_]|\d[./:-]\d|\d{4}", text):
        return []  # a bare number is no date
    numeric = NUMERIC.search(text)
    orders = [True] if ISO.match(text) else [place.day_first]
    if numeric and orders == [None]:
        orders = [True] if numeric[2] == "." else [True, False]  # dots stand where the day comes first
    found = [_iso(text, place, ORDERS.get(order, "DMY") if numeric else None, numeric) for order in orders]
    if not any(found) and place.language_of(text) == "ru" and (plain := _plain(text)) != text:
        return dates(plain, place)
    return list(dict.fromkeys(one for one in found if one))


def _plain(text: str) -> str:
    """Russian words in their dictionary form, without what only joins them: "в августе 2016 года" is "август 2016"."""
    words = [lemmas(word)[0] if word.isalpha() else word for word in re.findall(r"[^\W\d_]+|[\d.:/-]+", text)]
    return " ".join(word for word in words if word not in JOINING)


def times(text: str, place: Place) -> list[str]:
    """HH:MM of a time of day; two readings where the half of the day is open ("half past six")."""
    text = text.strip()
    if clock := CLOCK.fullmatch(text):
        hour = int(clock[1])
        return [f"{hour:02}:{clock[2] or '00'}"] if len(clock[1]) == 2 or clock[2] else _halves(hour, 0)
    if spoken := SPOKEN.fullmatch(text.lower()):
        minutes = PARTS.get(spoken[1]) or int(spoken[1])
        hour = int(spoken[3]) if spoken[3].isdecimal() else HOURS.index(spoken[3]) + 1
        at = hour * 60 + (minutes if spoken[2] == "past" else -minutes)
        return _halves(*divmod(at % 720, 60)) if 1 <= hour <= 12 and minutes < 60 else []
    data = _parser(*_settings(place, None)).get_date_data(text)
    return [data.date_obj.strftime("%H:%M")] if data.period == "time" and data.date_obj else []


def _halves(hour: int, minute: int) -> list[str]:
    return [f"{one:02}:{minute:02}" for one in ((hour, hour + 12) if hour < 12 else (hour,))]


def _iso(text: str, place: Place, order: str | None, numeric: Any) -> str | None:
    prefer = "current_period" if numeric and len(re.split(r"\D", numeric[0])) == 3 else None
    data = _parser(*_settings(place, order, prefer)).get_date_data(text)
    if data.date_obj is None or (order == "MDY" and numeric and int(numeric[1]) > 12):
        return None
    if order == "DMY" and numeric and int(numeric[3]) > 12 and not ISO.match(text):
        return None
    if text.lower() in PARTS_OF_DAY:
        return None  # it names no day
    form = FORMS.get(data.period)
    return form(data.date_obj) if form and _weekday_fits(text, data, place) else None


def _weekday_fits(text: str, data: Any, place: Place) -> bool:
    """Whether a weekday that is named is the date's; dateparser passes over it."""
    if data.period not in ("day", "time"):
        return True
    words = [form for word in re.findall(r"[^\W\d_]+", text.lower()) for form in (word, *lemmas(word)[:1])]
    named = {day for word in words for day in _weekdays(tuple(place.languages)).get(word, ())}
    return not named or data.date_obj.weekday() in named


@lru_cache(8)
def _weekdays(languages: tuple[str, ...]) -> dict[str, list[int]]:
    days: dict[str, list[int]] = {}
    for language in languages:
        for width in ("wide", "abbreviated"):
            for day, name in library("babel.dates").get_day_names(width, locale=language).items():
                days.setdefault(name.lower(), []).append(day)
    return days


def _quarter(day: datetime) -> str:
    first = 3 * ((day.month - 1) // 3) + 1
    return f"{day.year}-{first:02}/{day.year}-{first + 2:02}"  # an interval: ISO 8601 has no quarters


FORMS = {
    "year": lambda day: f"{day.year:04}",
    "quarter": _quarter,
    "month": lambda day: f"{day:%Y-%m}",
    "week": lambda day: "{}-W{:02}".format(*day.isocalendar()[:2]),
    "part_of_day": lambda day: f"{day:%Y-%m-%d}",
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
