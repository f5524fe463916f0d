import pytest

from underdog.report import words


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (words.percent, 0.4703, "47.0 %"),
        (words.points, 0.161, "+16.1"),
        (words.points, -0.02, "−2.0"),
        (words.points, -0.0001, "±0.0"),
        (words.count, 1049984, "1,049,984"),
        (words.short, 1049984, "1.05 M"),
        (words.short, 999_600, "1 M"),
        (words.short, 999_424, "999 k"),
        (words.short, 23e12, "23 T"),
        (words.short, 0, "0"),
        (words.size, 4_311_552, "4.31 MB"),
        (words.size, 12, "12 B"),
        (words.figure, 0.3, "0.3"),
        (words.figure, 2e-5, "2e-5"),
        (words.figure, 0.00237, "0.00237"),
        (words.figure, 43.57, "43.6"),
        (words.figure, 1234.5, "1234"),
        (words.figure, float("nan"), "nan"),
        (words.clock, 492, "8:12"),
        (words.clock, 59.7, "1:00"),
        (words.clock, 3723, "1:02:03"),
        (words.spoken, 492, "8 minutes"),
        (words.spoken, 1, "1 second"),
        (words.spoken, 59.6, "1 minute"),
        (words.spoken, 5400, "1.5 hours"),
        (words.spoken, 4000, "67 minutes"),
        (words.spoken, 36 * 86_400, "36 days"),
        (words.day, "2026-11-22T01:31:00+0000", "22 November 2026"),
    ],
)
def test_numbers_as_people_read_them(function, value, text):
    assert function(value).replace("\xa0", " ") == text
