from decimal import Decimal

import pytest

from underdog.tasks.numbers import NUMBER, numbers


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1 234,50", ["1234.50"]),
        ("1,234.50", ["1234.50"]),
        ("1.234,50", ["1234.50"]),
        ("1'234.5", ["1234.5"]),
        ("1.234.567", ["1234567"]),
        ("1,234", ["1.234", "1234"]),
        ("0,500", ["0.500"]),
        ("−7", ["-7"]),
        ("12,34,567", []),
        ("1,2.3,4", []),
    ],
)
def test_what_a_number_may_mean(written, meant):
    assert numbers(written) == [Decimal(one) for one in meant]


def test_a_region_settles_it():
    assert numbers("1,234", ",") == [Decimal("1.234")] and numbers("1,234", ".") == [Decimal(1234)]


def test_numbers_in_a_text():
    found = NUMBER.finditer("3.5 for 1 234,50 EUR at 12:30, x2 (5).")
    assert [one[0] for one in found] == ["3.5", "1 234,50", "12", "30", "5"]
