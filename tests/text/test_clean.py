import time
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from underdog.text.clean import clean


def test_what_no_reader_sees_goes_and_the_rest_stays():
    assert clean("\ufeffA\u00adb\u200bc\x00 d\x1b\r\ne\u2028f\rg") == "Abc d\ne\nf\ng"
    assert clean("line  \t\nnext\n\n\n\n\n\nlast") == "line\nnext\n\n\nlast"
    assert clean("cafe\u0301") == "café"
    assert clean("می\u200cخواهم 👩\u200d👧") == "می\u200cخواهم 👩\u200d👧"
    assert clean("\tdef f():\n\t\treturn 1") == "\tdef f():\n\t\treturn 1"


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text):
    once = clean(text)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)


def test_long_runs_take_no_long_time():
    start = time.process_time()
    clean(" " * 2_000_000 + "x" + "\n" * 2_000_000)
    assert time.process_time() - start < 2
