import random

import pytest

from underdog.errors import UserError
from underdog.tasks.classify import Classified
from underdog.tasks.router import Router, ask_label, hold_out


def by_number(text):
    """Its confidence is what the text says."""
    share = float(text)
    return Classified("yes", {"yes": share, "no": 1 - share})


def test_each_text_goes_where_it_belongs(says):
    large = says(lambda prompt: '{"label": "no"}')
    router = Router(by_number, 0.8, {"yes": "billing"}, large, {"yes": "", "no": ""})
    assert vars(router("0.9")) == {"to": "billing", "label": "yes", "confidence": 0.9}
    assert vars(router("0.7")) == {"to": "large", "label": "no", "confidence": 0.7}
    assert vars(Router(by_number, 0.8, {"yes": "large"})("0.9")) == {"to": "large", "label": None, "confidence": 0.9}
    assert Router(by_number, 0.8)("0.9").to == "local" and Router(by_number, 0.8)("0.7").label is None


def test_what_cannot_be_routed_is_named(says):
    with pytest.raises(UserError, match='"yess" is none'):
        Router(by_number, 0.5, {"yess": "x"}, labels={"yes": ""})
    with pytest.raises(UserError, match="needs the labels"):
        Router(by_number, 0.5, large=says(lambda prompt: ""))


def test_a_real_model_answers_with_a_label(real):
    assert ask_label(real, {"a": "first", "b/c": ""}, "text") in ("a", "b/c")


def test_held_out_rows_say_what_is_kept_and_saved():
    draw = random.Random(0)
    texts = [str(draw.uniform(0.5, 1)) for _ in range(2000)]
    labels = ["yes" if draw.random() < (0.999 if float(text) > 0.7 else 0.6) else "no" for text in texts]
    held = hold_out([by_number(text) for text in texts], labels, 0.02, local_cost=0.1, large_cost=2.0)
    kept = [label for text, label in zip(texts, labels, strict=True) if float(text) >= held.threshold.value]
    assert held.threshold.kept == pytest.approx(len(kept) / 2000) and 0.4 < held.threshold.kept < 0.7
    assert kept.count("no") / len(kept) == pytest.approx(held.threshold.wrong) and held.threshold.bound <= 0.02
    assert held.saved == pytest.approx(held.threshold.kept - 0.05)
    assert held.area < labels.count("no") / 2000
