"""Golden values: what a person would read."""

from datetime import datetime

import pytest

pytest.importorskip("dateparser")

from underdog.errors import UserError
from underdog.tasks.normalize.amounts import amounts
from underdog.tasks.normalize.dates import dates, times
from underdog.tasks.normalize.names import names
from underdog.tasks.normalize.phones import phones
from underdog.tasks.normalize.place import Place

NOW = datetime(2026, 11, 22, 10, 0)  # a Sunday


def place(region=None, prefer="current_period"):
    return Place(("en", "ru"), region, NOW, prefer)


@pytest.mark.parametrize(
    ("text", "region", "meant"),
    [
        ("12 марта 2024", None, ["2024-03-12"]),
        ("Sun, 05 Aug 2018", None, ["2018-08-05"]),
        ("2024-03-12", "US", ["2024-03-12"]),
        ("2024-03-12T14:30", None, ["2024-03-12T14:30"]),
        ("03/04/2025", None, ["2025-04-03", "2025-03-04"]),
        ("03/04/2025", "US", ["2025-03-04"]),
        ("03/04/2025", "GB", ["2025-04-03"]),
        ("13/04/2025", None, ["2025-04-13"]),
        ("13/04/2025", "US", []),
        ("03/04/2025", "DZ", ["2025-04-03"]),  # Babel does not know how most people write there, but how others do
        ("12.03.24", None, ["2024-03-12"]),
        ("завтра", None, ["2026-11-23"]),
        ("tomorrow at 5pm", None, ["2026-11-23T17:00"]),
        ("сегодня в 18:30", None, ["2026-11-22T18:30"]),
        ("March 2024", None, ["2024-03"]),
        ("май 2024", None, ["2024-05"]),
        ("2024", None, ["2024"]),
        ("Q3 2024", None, ["2024-07/2024-09"]),
        ("в августе 2016 года", None, ["2016-08"]),
        ("в понедельник, 27 апреля 2020 года", None, ["2020-04-27"]),
        ("в 2011 году", None, ["2011"]),
        ("11 сентября 2001г", None, ["2001-09-11"]),
        ("в следующем году", None, ["2027"]),
        ("два года", None, []),
        ("1 год 5 месяцев", None, []),
        ("Tuesday the 18th of July 2018", None, []),
        ("Wednesday, July 18 2018", None, ["2018-07-18"]),
        ("tomorrow evening", None, ["2026-11-23"]),
        ("evening", None, []),
        ("tonight", None, ["2026-11-22"]),
        ("через две недели", None, ["2026-W49"]),
        ("31.02.2024", None, []),
        ("5", None, []),
        ("hello", None, []),
        ("", None, []),
    ],
)
def test_dates(text, region, meant):
    assert dates(text, place(region)) == meant


def test_a_date_without_a_year():
    assert dates("3rd of March", place()) == ["2026-03-03"]
    assert dates("3 марта", place(prefer="future")) == ["2027-03-03"]
    assert dates("12.03.24", place(prefer="future")) == ["2024-03-12"]  # it has its year


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("6 pm", ["18:00"]),
        ("в 18:30", ["18:30"]),
        ("13", ["13:00"]),
        ("1430", ["14:30"]),
        ("7", ["07:00", "19:00"]),
        ("half past six", ["06:30", "18:30"]),
        ("quarter to 12", ["11:45", "23:45"]),
        ("20 past 13", []),
        ("75", []),
        ("tomorrow", []),
    ],
)
def test_times(text, meant):
    assert times(text, place()) == meant


@pytest.mark.parametrize(
    ("text", "region", "meant"),
    [
        ("1,5 млн руб.", None, ["1500000 RUB"]),
        ("1 234,50 ₽", None, ["1234.50 RUB"]),
        ("€1.234,50", None, ["1234.50 EUR"]),
        ("US$ 1,234.50", None, ["1234.50 USD"]),
        ("1,234", None, ["1.234", "1234"]),
        ("1,234", "US", ["1234"]),
        ("1,234", "RU", ["1.234"]),
        ("$5", "AU", ["5 AUD"]),
        ("$5", None, ["5 USD"]),
        ("два миллиона рублей", None, ["2000000 RUB"]),
        ("three hundred and five pounds", None, ["305 GBP"]),
        ("100 рублей 50 копеек", None, ["100.50 RUB"]),
        ("5 dollars 20 cents", None, ["5.20 USD"]),
        ("50 cents", None, ["0.50"]),
        ("30 миллионов фунтов стерлингов", None, ["30000000 GBP"]),
        ("3,04\xa0млрд долларов США", None, ["3040000000 USD"]),
        ("5k", None, ["5000"]),
        ("-5 €", None, ["-5 EUR"]),
        ("-5 рублей 50 копеек", None, ["-5.50 RUB"]),
        ("eur 100", None, ["100 EUR"]),
        ("12 apples", None, []),
        ("from 5 to 10 dollars", None, []),
        ("5 euros or dollars", None, []),
    ],
)
def test_amounts(text, region, meant):
    assert amounts(text, place(region)) == meant


@pytest.mark.parametrize(
    ("text", "region", "meant"),
    [
        ("8 (912) 345-67-89", "RU", ["+79123456789"]),
        ("8 (912) 345-67-89", "ru", ["+79123456789"]),
        ("8 (912) 345-67-89", None, []),
        ("+44 20 7946 0958 ext. 5", None, ["+442079460958;ext=5"]),
        ("tel. 8-800-555-35-35", "RU", ["+78005553535"]),
        ("12345", "RU", []),
        ("call me", "RU", []),
    ],
)
def test_phones(text, region, meant):
    assert phones(text, place(region)) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("SMITH, john", ["John Smith"]),
        ("Dr. Juan Q. Xavier de la Vega III", ["Dr. Juan Q. Xavier de la Vega III"]),
        ("mary o'connor", ["Mary O'Connor"]),
        ("John McDonald", ["John McDonald"]),
        ("Иванову Ивану Ивановичу", ["Иванов Иван Иванович"]),
        ("Петровой Анне Сергеевне", ["Петрова Анна Сергеевна"]),
        ("Льву Толстому", ["Толстой Лев"]),
        ("николай римский-корсаков", ["Римский-Корсаков Николай"]),
        ("стол стул", []),
        ("Роттоли", ["Роттоля", "Роттоли"]),
        ("Владимир Сластенин", ["Сластенин Владимир"]),
        ("anna@example.org", []),
        ("", []),
    ],
)
def test_names(text, meant):
    assert names(text, place()) == meant


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"region": "XX"}, "no region"),
        ({"region": "AQ"}, "no region"),
        ({"languages": ("de",)}, 'no rules for "de"'),
        ({"languages": ()}, "needs a language"),
        ({"prefer": "futur"}, "preferred"),
    ],
)
def test_a_place_that_is_not_known_is_named(settings, words):
    with pytest.raises(UserError, match=words):
        Place(**settings)
