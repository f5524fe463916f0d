import pickle

import numpy as np
import pytest

from underdog.errors import UserError
from underdog.recipe.schema import Curate
from underdog.text.judge import Judge

TOPICS = ("heap", "queue", "graph", "matrix", "parser", "cache", "thread", "socket", "stream", "buffer")
VERBS = ("holds", "orders", "joins", "splits", "stores", "sends", "reads", "locks", "counts", "frees")


def explanation(topic, verb):
    return (
        f"A {topic} {verb} the state of a program while it runs. It is needed because the program must answer before "
        f"the next request comes. If the {topic} grows too large, it is split, so that both parts can be read at once."
    )


def advertisement(topic, verb):
    return (
        f"Buy your new {topic} today! Best {topic} deals, free shipping, sign up now and save. Our {topic} {verb} more "
        f"than any other. Click here to order, read reviews and share this {topic} with your friends!"
    )


@pytest.fixture
def folders(tmp_path):
    for kind, texts in {
        "base": [explanation(t, v) for t in TOPICS[:5] for v in VERBS],
        "corpus": [make(t, v) for t in TOPICS for v in VERBS[:5] for make in (explanation, advertisement)],
    }.items():
        (tmp_path / kind).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / kind / f"{number:03}.txt").write_text(text)
    return tmp_path


def test_likeness_is_a_signal_that_tells_the_examples_kind(folders):
    judge = Judge(Curate(sources=[str(folders / "corpus")], reference=[str(folders / "base")]))
    texts = [make(t, v) for t in TOPICS[5:] for v in VERBS[5:] for make in (explanation, advertisement)]
    likeness = judge.measure(texts)["reference_similarity"].to_numpy()
    assert likeness[::2].min() > likeness[1::2].max()
    assert "reference_similarity" in [signal.name for signal in judge.signals]
    copy = pickle.loads(pickle.dumps(judge))
    assert np.array_equal(copy.measure(texts)["reference_similarity"].to_numpy(), likeness)
    assert len(pickle.dumps(judge)) < 20e6


def test_too_few_examples_are_refused(folders):
    (folders / "few").mkdir()
    (folders / "few" / "one.txt").write_text("Only one example.")
    with pytest.raises(UserError, match=r"curate\.reference has 1 documents"):
        Judge(Curate(sources=[str(folders / "corpus")], reference=[str(folders / "few")]))
    with pytest.raises(UserError, match=r"curate\.unlike needs curate\.reference"):
        Judge(Curate(unlike=[str(folders / "few")]))
