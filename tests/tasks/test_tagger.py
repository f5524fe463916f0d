import pytest

pytest.importorskip("pycrfsuite")

from underdog.errors import UserError
from underdog.tasks.entities import Entity
from underdog.tasks.tagger import Labelled, Tagger, exact_f1, features, fit, layered


def entity(text, part, kind, start=0):
    start = text.index(part, start)
    return Entity(start, start + len(part), kind, part)


def example(who, city):
    text = f"{who} of the University of {city}, 2024"
    return Labelled(
        text, [entity(text, who, "person"), entity(text, f"University of {city}", "place"), entity(text, city, "place")]
    )


EXAMPLES = [
    example(who, city) for who in ("Anna Berg", "Bo", "Иван Петров") for city in ("Rome", "Oslo", "Nizhny Novgorod")
]


def test_nested_spans_of_words_never_seen(tmp_path):
    fit(EXAMPLES, tmp_path, layers=2)
    new = example("Carla Diaz", "Turin")
    assert [*Tagger(tmp_path)(new.text)] == sorted(new.entities)
    assert Tagger(tmp_path)("") == ()


def test_what_is_known_beforehand_counts(tmp_path):
    asked = [
        Labelled(str(n), [Entity(0, len(str(n)), kind, str(n))], [f"asked={kind}"])
        for n in range(9)
        for kind in ("time", "people")
    ]
    tagger = fit(asked, tmp_path)
    assert [tagger("13", [f"asked={kind}"])[0].type for kind in ("time", "people")] == ["time", "people"]


def test_layers_hold_all_spans_and_no_two_that_overlap():
    spans = [
        Entity(0, 9, "a", ""),
        Entity(2, 5, "b", ""),
        Entity(4, 8, "c", ""),
        Entity(10, 12, "a", ""),
        Entity(3, 4, "d", ""),
    ]
    layers = layered(spans, 3)
    assert sorted(one for layer in layers for one in layer) == sorted(spans)
    assert layers[0] == [Entity(0, 9, "a", ""), Entity(10, 12, "a", "")]
    assert sum(map(len, layered(spans, 1))) == 2


def test_features_are_the_words_own_and_its_neighbours():
    first, second = features(["New", "York5"], ["asked=city"])
    assert {"w=new", "s=Xx", "1:w=york5", "-1:edge", "0,1:w=new,w=york5", "asked=city|w=new"} <= {*first}
    assert {"s=Xx0", "-4=ork5", "+1=y", "1:edge"} <= {*second}


def test_f1():
    a, b, c = Entity(0, 1, "x", ""), Entity(2, 3, "x", ""), Entity(2, 3, "y", "")
    examples = [Labelled("", [a, b])]
    assert exact_f1([[a, c]], examples) == (0.5, 0.5, 0.5) and exact_f1([[]], examples) == (0, 0, 0)


def test_what_is_no_tagger(tmp_path):
    with pytest.raises(UserError, match="holds no tagger"):
        Tagger(tmp_path)
    with pytest.raises(UserError, match="needs texts with spans"):
        fit([Labelled("a", [])], tmp_path)
