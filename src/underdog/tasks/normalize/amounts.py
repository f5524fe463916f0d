"""Amounts of money: "1,5 млн руб." is 1500000 RUB. Number and currency, each read or not read; nothing is converted.

Symbols and codes of currencies, and decimal marks of regions, are CLDR's (Babel); number words are number-parser's.
"""

import re
from decimal import Decimal
from functools import lru_cache

from underdog.tasks.normalize.names import lemmas
from underdog.tasks.normalize.place import Place, library
from underdog.tasks.numbers import NUMBER, numbers

AMOUNT = r"-?\d+(\.\d+)?( [A-Z]{3})?"

TIMES = {
    "k": 3, "к": 3, "тыс": 3, "thousand": 3, "тысяча": 3, "m": 6, "mn": 6, "mln": 6, "млн": 6, "million": 6,
    "миллион": 6, "bn": 9, "b": 9, "млрд": 9, "billion": 9, "миллиард": 9,
}  # fmt: skip
NAMES = {  # by their dictionary forms
    "dollar": "$", "buck": "$", "euro": "EUR", "pound": "GBP", "yen": "JPY", "yuan": "CNY", "franc": "CHF",
    "ruble": "RUB", "rouble": "RUB", "tenge": "KZT", "доллар": "$", "евро": "EUR", "фунт": "GBP", "иена": "JPY",
    "юань": "CNY", "р": "RUB", "франк": "CHF", "рубль": "RUB", "руб": "RUB",
    "тенге": "KZT", "гривна": "UAH", "гривня": "UAH", "злотый": "PLN",
}  # fmt: skip
SYMBOLS = {"€": "EUR", "£": "GBP", "¥": "JPY", "₽": "RUB", "₸": "KZT", "₴": "UAH", "₹": "INR", "₩": "KRW", "₺": "TRY",
           "$": "$", "US$": "USD", "A$": "AUD", "C$": "CAD", "HK$": "HKD", "NZ$": "NZD", "R$": "BRL"}  # fmt: skip
NEUTRAL = ("us", "sterling", "сша", "стерлинг", "российский", "американский")  # beside a currency's name
CENTS = ("cent", "pence", "penny", "копейка", "коп", "цент", "пенс")
CENT = "cent"
SEAM = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")  # between a digit and a letter
WORD = re.compile(r"[^\W\d_]*\$|[€£¥₽₸₴₹₩₺]|[^\W\d_]+")


def amounts(text: str, place: Place) -> list[str]:
    """What an amount may mean, as "1234.50 EUR" or "1234.50": nothing, one, or two ("1,234" without a region)."""
    text = SEAM.sub(" ", _digits(text.strip(), place))
    found = list(NUMBER.finditer(text))
    meanings = [_meaning(word[0], place.region) for word in WORD.finditer(text)]
    if not 1 <= len(found) <= 2 or None in meanings:
        return []  # with a word that is neither a number's nor a currency's it is more than an amount
    currencies = {meaning for meaning in meanings if isinstance(meaning, str)} - {CENT}
    cents = [Decimal(0)]
    if len(currencies) > 1 or (len(found) == 2 and CENT not in meanings):
        return []
    whole = numbers(found[0][0], place.decimal)
    if CENT in meanings:
        whole, cents = whole if len(found) == 2 else [Decimal(0)], numbers(found[-1][0])
    power = sum(meaning for meaning in meanings if isinstance(meaning, int))
    currency = "".join(f" {code}" for code in currencies)
    return [_written(value * 10**power + (cents[0] / 100).copy_sign(value)) + currency for value in whole if cents]


def _written(value: Decimal) -> str:
    text = f"{value.normalize():f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest:0<2}" if rest else whole


@lru_cache(4096)
def _meaning(word: str, region: str | None) -> int | str | None:
    """A power of ten, a currency's code, `CENT`, or nothing that belongs to an amount."""
    russian = re.search("[а-яё]", word, re.I)
    for form in (word.lower(), *(lemmas(word) if russian else [word.lower().removesuffix("s")])):
        if form in TIMES:
            return TIMES[form]
        if form in CENTS:
            return CENT
        if form in NEUTRAL:
            return 0
        if found := NAMES.get(form) or SYMBOLS.get(word.upper()):
            return _dollar(region) if found == "$" else found
    return word.upper() if word.upper() in library("babel.numbers").list_currencies() else None


def _dollar(region: str | None) -> str:
    """The region's own, where its currency is one."""
    used = library("babel.numbers").get_territory_currencies(region) if region else []
    return next((code for code in used if code in ("AUD", "CAD", "NZD", "HKD", "SGD", "TWD", "MXN")), "USD")


def _digits(text: str, place: Place) -> str:
    """Number words as digits."""
    if re.search(r"\d", text):
        return text
    return library("number_parser").parse(text, language=place.language_of(text))
