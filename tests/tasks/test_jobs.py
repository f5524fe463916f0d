import json
from itertools import pairwise

import pytest
from pydantic import BaseModel

from underdog.errors import UserError
from underdog.generate.structure import StructureError
from underdog.tasks.calibrate import softmax
from underdog.tasks.classify import Classified, Classifier, MultiClassifier, deepest, levels
from underdog.tasks.entities import Entity, EntityFinder, merged, place, windows
from underdog.tasks.extract import Extractor, find, schema_of

LABELS = {"refund": "wants money back", "card/lost": "", "card/new": ""}
TEXT = "Anna Berg from Rome paid 120 euros; anna berg comes from Rome."


def test_probabilities_add_up_and_come_again(real):
    classifier = Classifier(real, LABELS)
    found = classifier("Where is my money?")
    assert sum(found.probabilities.values()) == pytest.approx(1) and list(found.probabilities) == list(LABELS)
    assert found.label == max(found.probabilities, key=found.probabilities.get)
    assert classifier("Where is my money?").probabilities == pytest.approx(found.probabilities)


def test_what_the_model_always_favours_is_taken_off(real):
    assert all(
        share == pytest.approx(1 / 3, abs=1e-3) for share in Classifier(real, LABELS)("N/A").probabilities.values()
    )


def test_a_classifier_may_abstain(real):
    assert Classifier(real, LABELS, abstain=1.0)("What is this?").label is None


def test_levels_of_a_hierarchy_add_up():
    shares = levels({"refund": 0.2, "card/lost": 0.5, "card/new": 0.3})
    assert shares == pytest.approx({"refund": 0.2, "card": 0.8, "card/lost": 0.5, "card/new": 0.3})


@pytest.mark.parametrize(("least", "answer"), [(0.0, "card/lost"), (0.5, "card/lost"), (0.6, "card"), (0.85, None)])
def test_a_hierarchy_is_answered_as_deep_as_it_is_sure(least, answer):
    shares = {"refund": 0.2, "card/lost": 0.5, "card/new": 0.3}
    assert deepest(shares, least) == answer
    assert Classified(answer, shares).confidence == pytest.approx(0.8 if answer == "card" else 0.5)


def test_a_level_that_is_a_label_itself_stands_where_it_is_the_likeliest():
    assert deepest({"card": 0.6, "card/lost": 0.2, "other": 0.2}, 0.0) == "card"


def test_confidence_is_that_of_the_answer_and_a_name_may_begin_with_the_separator():
    shares = {"card/lost": 0.35, "card/new": 0.25, "other": 0.4}
    assert Classified(deepest(shares, 0.0), shares).confidence == 0.35
    assert deepest({"/a": 0.4, "/b": 0.6}, 0.0) == "/b"


def test_labelled_rows_set_the_temperature(real):
    texts = ["Where is my money?", "My card is gone.", "A new card, please.", "I want it back.", "Stolen!"]
    classifier = Classifier(real, LABELS)
    wrong = [min(one.probabilities, key=one.probabilities.get) for one in map(classifier, texts)]
    doubtful = classifier.calibrated(texts, wrong)  # it is always wrong: it must not be sure of anything
    assert doubtful.temperature > 10
    assert max(doubtful("My card is gone.").probabilities.values()) < 0.36
    with pytest.raises(UserError, match='"lost" is none of the labels'):
        classifier.calibrated(["a"], ["lost"])


def test_several_labels_are_questions_of_their_own(real):
    everything = MultiClassifier(real, LABELS, threshold=0.0)("My card is gone.")
    assert list(everything) == list(LABELS) and all(0 <= share <= 1 for share in everything.values())
    assert MultiClassifier(real, LABELS, threshold=1.01)("My card is gone.") == {}
    assert [MultiClassifier(real, LABELS, least).threshold for least in (None, 0)] == [0.5, 0]


def test_a_large_score_does_not_overflow():
    assert softmax([1e4, 1e4]) == [0.5, 0.5]


def test_one_label_is_no_classifier(real):
    with pytest.raises(UserError, match="at least two labels"):
        Classifier(real, {"a": ""})


@pytest.mark.parametrize(
    ("wanted", "start", "span"),
    [
        ("Anna Berg", 0, (0, 9)),
        ("anna  berg", 0, (36, 45)),
        ("ROME", 0, (15, 19)),
        ("Rome", 19, (57, 61)),
        ("20", 0, None),
        ("120", 0, (25, 28)),
        ("Oslo", 0, None),
        ("", 0, None),
    ],
)
def test_where_a_value_stands(wanted, start, span):
    assert find(wanted, TEXT, start) == span


def test_a_form_is_filled_with_places(says):
    said = {"buyer": "Anna Berg", "total": 120, "city": "Oslo", "items": ["euros"], "paid": True, "note": None}
    extracted = Extractor(says(lambda prompt: json.dumps(said)), {name: "" for name in said})(TEXT)
    assert extracted.value == said
    assert extracted.spans == {"$.buyer": (0, 9), "$.total": (25, 28), "$.city": None, "$.items[0]": (29, 34)}


def test_a_value_that_comes_twice_has_two_places_and_numbers_are_found_however_they_are_written(says):
    said = {"cities": ["Rome", "Rome", "Rome"], "total": 1234.5}
    text = "Rome 1 234,50 Rome"
    spans = Extractor(says(lambda prompt: json.dumps(said)), {"cities": [""], "total": 0.0})(text).spans
    assert spans == {"$.cities[0]": (0, 4), "$.cities[1]": (14, 18), "$.cities[2]": (0, 4), "$.total": (5, 13)}


class Order(BaseModel):
    city: str
    days: int = 1


@pytest.mark.parametrize("form", [Order, Order.model_json_schema(), {"city": "where to", "days": 0}])
def test_three_kinds_of_forms(form):
    schema = schema_of(form)
    assert schema["type"] == "object" and set(schema["properties"]) == {"city", "days"}


def test_a_pydantic_model_comes_back_as_itself(says):
    extracted = Extractor(says(lambda prompt: '{"city": "Rome", "days": 3}'), Order)("3 days in Rome")
    assert extracted.value == Order(city="Rome", days=3)
    assert extracted.spans == {"$.city": (10, 14), "$.days": (0, 1)}


def test_a_template_whose_values_look_like_a_schemas():
    assert schema_of({"type": "kind of account", "enum": "?"})["required"] == ["type", "enum"]


def test_a_real_model_fills_a_form(real):
    form = {
        "type": "object",
        "properties": {"a": {"enum": ["x", "y"]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert Extractor(real, form)("text").value["a"] in ("x", "y")


def test_a_form_that_cannot_be_served_is_named(real):
    with pytest.raises(StructureError, match=r"^\$\.not"):
        Extractor(real, {"type": "object", "not": {}})


def test_entities_are_where_they_stand_and_inventions_are_counted(says):
    listed = [("Anna Berg", "person"), ("Rome", "city"), ("Rome", "city"), ("Rome", "city"), ("Oslo", "city")]
    model = says(lambda prompt: json.dumps([{"text": text, "type": kind} for text, kind in listed]))
    found = EntityFinder(model, {"person": "", "city": "Rome, Oslo"})(TEXT)
    assert found.entities == (
        Entity(0, 9, "person", "Anna Berg"), Entity(15, 19, "city", "Rome"), Entity(57, 61, "city", "Rome")
    )  # fmt: skip
    assert found.invented == 2


def test_nested_entities_and_long_texts(says):
    text = "word " * 30 + "University of Rome " + "word " * 30

    def answer(prompt):
        seen = prompt.rpartition("Text: ")[2]
        return json.dumps([{"text": name, "type": "x"} for name in ("University of Rome", "Rome") if name in seen])

    found = EntityFinder(says(answer), {"x": ""}, window=100, overlap=30)(text)
    assert [(e.start, e.end) for e in found.entities] == [(150, 168), (164, 168)]


def test_what_a_window_cut_off_gives_way_to_the_whole():
    whole, cut, nested = (
        Entity(90, 108, "x", "University of Rome"),
        Entity(90, 100, "x", "University"),
        Entity(104, 108, "x", "Rome"),
    )
    assert merged({whole, nested}, {cut, nested}) == (whole, nested)
    assert merged({nested}, {cut}) == (cut, nested)


@pytest.mark.parametrize(("size", "overlap"), [(10, 3), (40, 0), (7, 6), (1000, 10)])
def test_windows_cover_the_text_and_overlap(size, overlap):
    spans = list(windows(TEXT, size, overlap))
    assert spans[0][0] == 0 and spans[-1][1] == len(TEXT)
    assert all(end - start <= size for start, end in spans)
    assert all(b[0] == a[1] - overlap for a, b in pairwise(spans))


def test_place_keeps_the_spelling_of_the_text():
    assert [e.text for e in place([("anna BERG", "p")], TEXT)] == ["Anna Berg"]
