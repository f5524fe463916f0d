import json
import re
import time
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("dateparser")

from underdog.errors import UserError
from underdog.tasks.normalize.normalizer import KINDS, TEXTS, VALUES, Normalizer
from underdog.tasks.normalize.place import Place
from underdog.tasks.normalize.spelling import begins_sentence
from underdog.tasks.normalize.style import addresses_in, tidy

PLACE = Place(now=datetime(2026, 11, 22, 10, 0))


def asked(says, value):
    return Normalizer(PLACE, says(lambda prompt: json.dumps({"value": value})))


def test_what_the_rules_can_tell_no_model_is_asked(says):
    found = asked(says, "1999-01-01")("12 марта 2024", "date")
    assert (found.value, found.by) == ("2024-03-12", "rules")


def test_a_model_chooses_among_readings_or_writes_what_the_rules_can_read(says):
    open_ = Normalizer(PLACE)("03/04/2025", "date")
    assert (open_.value, open_.by, open_.readings) == (None, None, ("2025-04-03", "2025-03-04"))
    chosen = asked(says, "2025-03-04")("03/04/2025", "date")
    assert (chosen.value, chosen.by) == ("2025-03-04", "model")
    written = asked(says, "18:30")("half past six in the evening", "time")
    assert (written.value, written.by) == ("18:30", "model")


def test_what_a_model_makes_up_is_not_taken(says):
    assert asked(says, "+10000000000")("my number", "phone").value is None  # no such number can be assigned
    assert asked(says, None)("no date here", "date").by is None


@pytest.mark.parametrize("kind", VALUES)
def test_a_real_model_keeps_to_the_form(real, kind):
    found = Normalizer(PLACE, real)("???", kind)
    assert found.value is None or VALUES[kind].read(found.value, PLACE) == [found.value]


def test_spelling_says_who_changed_what(says):
    text = "I definately bought хлебб in Zzyzx."
    found = Normalizer(PLACE)(text, "spelling")
    assert (found.value, found.by) == ("I definitely bought хлебб in Zzyzx.", "rules")
    both = asked(says, "хлеба")(text, "spelling")
    assert both.value == "I definitely bought хлеба in Zzyzx." and both.by == "model"
    assert [(text[c.start : c.end], c.old, c.new, c.by) for c in both.changes] == [
        ("definately", "definately", "definitely", "rules"),
        ("хлебб", "хлебб", "хлеба", "model"),
    ]


def test_russian_forms_are_no_mistakes():
    text = "Здравствуйте, подскажите, когда привезут заказанные учебники?"
    assert Normalizer(PLACE)(text, "spelling").changes == ()


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ('Он сказал : "привет" - и ушёл  !!!!', "Он сказал: «привет» — и ушёл!"),
        ('He said "hi" and left ...  ok ,fine', "He said “hi” and left… ok, fine"),
        ("see http://a.b/c,d and a.b@c.de , please", "see http://a.b/c,d and a.b@c.de, please"),
        ("й\u200b cafe\u0301", "й café"),
        ('a "b', 'a "b'),
    ],
)
def test_style_is_set_by_rules(text, set_):
    assert tidy(text, PLACE) == set_


@given(st.text(alphabet="a@:/ \n\u00a0.", max_size=30))
def test_addresses_are_the_unbroken_runs_around_their_marks(text):
    assert addresses_in(text) == [found.span() for found in re.finditer(r"\S*(?:@|://)\S*", text)]


@given(st.text(alphabet="aB.!? \n\u00a0\x1c", max_size=12))
def test_a_sentence_begins_after_nothing_a_new_line_or_a_mark(text):
    assert begins_sentence(text, len(text)) == bool(re.search(r"(?:^|[.!?…]\s+|\n)\s*$", text))


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("text", ["x" * 20_000, "a@b , " * 5_000, "me. " * 10_000], ids=["unbroken", "mail", "words"])
def test_a_long_text_takes_time_as_it_is_long(text, kind):
    began = time.process_time()
    Normalizer(PLACE)(text, kind)
    assert time.process_time() - began < 10


@given(st.text(alphabet="ab я1.,;!?…\"“”«»„()[] -–—\n\t'’:/\u00ad\u0301@", max_size=30))
def test_a_tidy_text_stays_as_it_is(text):
    once = tidy(text, PLACE)
    assert tidy(once, PLACE) == once


def test_a_tone_is_taken_only_with_all_numbers_and_addresses(says):
    def toned(answer):
        return Normalizer(PLACE, says(lambda prompt: json.dumps({"value": answer})), tone="formal")

    text = "pay 120 by 5pm"
    assert toned("Kindly pay 120 by 5 pm.")(text, "style").by == "model"
    lost = toned("Kindly pay soon.")(text, "style")
    assert (lost.value, lost.by) == (text, "rules")


def test_what_cannot_be_done_is_named():
    with pytest.raises(UserError, match='no kind "dat"') as caught:
        Normalizer(PLACE)("x", "dat")
    assert "date" in caught.value.hint
    with pytest.raises(UserError, match="tone needs a model"):
        Normalizer(PLACE, tone="formal")


@settings(max_examples=40)
@given(st.text(max_size=40), st.sampled_from(KINDS))
def test_no_text_is_too_odd(text, kind):
    found = Normalizer(PLACE)(text, kind)
    assert (found.value is None) == (found.by is None)
