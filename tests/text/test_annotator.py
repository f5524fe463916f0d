import json
from dataclasses import replace

import numpy as np
import pytest

from underdog.errors import UserError
from underdog.recipe.schema import Curate
from underdog.text.annotator import spearman, top_precision, train_annotator
from underdog.text.judge import Judge, find_redundant
from underdog.text.kernels.count import count_with_words
from underdog.text.labels import Label
from underdog.text.linear import Words, fit
from underdog.text.signals import SIGNALS

GOOD = ["theorem", "proves", "lemma", "matrix", "converges", "because", "integral", "bounded", "sequence", "therefore"]
BAD = ["click", "buy", "offer", "deal", "shop", "cheap", "login", "share", "follow", "banner"]


def labelled(count=400, seed=0):
    """Texts between two vocabularies, labelled by how much of the better one they have."""
    random = np.random.default_rng(seed)
    found = []
    for share in random.random(count):
        words = [random.choice(GOOD if random.random() < share else BAD) for _ in range(40)]
        text = "The " + " ".join(words) + "."
        found.append(Label(text, {"knowledge_density": min(9, int(10 * share)), "fluency": int(random.integers(10))}))
    return found


def test_what_is_in_the_words_is_learned_and_noise_is_not():
    _, agreement = train_annotator(labelled())
    assert agreement["knowledge_density"]["labels"] == 40
    assert agreement["knowledge_density"]["spearman"] > 0.9
    assert agreement["knowledge_density"]["precision"] >= 0.5
    assert abs(agreement["fluency"]["spearman"]) < 0.5


def test_the_annotator_fills_the_columns_of_its_signals(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps({"text": la.text, "scores": la.scores}) + "\n" for la in labelled(120)))
    judge = Judge(Curate(labels=str(path)))
    texts = ["The " + " ".join(GOOD * 3) + ".", "The " + " ".join(BAD * 3) + "."]
    learned, counted = judge.measure(texts), Judge(Curate()).measure(texts)
    assert learned["knowledge_density"][0].as_py() > 5 > learned["knowledge_density"][1].as_py()
    assert learned["literacy"].equals(counted["literacy"])
    assert set(judge.agreement) == {"knowledge_density", "fluency"}


def test_heads_find_the_ridge_solution():
    texts = ["a b c", "b c d", "c d a", "d a b c", "a a b", "e f"]
    _, offsets, hashes = count_with_words(texts)
    words, random = Words(offsets, hashes), np.random.default_rng(1)
    dense, targets = random.normal(size=(6, 3)), random.normal(size=(6, 2))
    heads = fit(words, dense, targets, 0.1, buckets=64)
    sparse = np.stack([fit_row(words, k) for k in range(6)])
    features = np.concatenate([8 * sparse, dense], axis=1)
    centred = targets - targets.mean(axis=0)
    exact = features @ np.linalg.solve(features.T @ features + 0.1 * np.eye(67), features.T @ centred)
    assert np.allclose(heads(words, dense), exact + targets.mean(axis=0), atol=1e-4)


def fit_row(words, text):
    """The hashed features of one text, read off a head for each bucket."""
    from underdog.text.kernels.ngrams import weigh

    found = np.empty((len(words), 64))
    weigh(words.hashes, words.offsets, np.eye(64), found)
    return found[text]


def test_spearman_and_precision_are_the_textbook_ones():
    scipy = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(3)
    a, b = random.integers(0, 10, 200), random.normal(size=200)
    assert spearman(a, a + b) == pytest.approx(scipy.spearmanr(a, a + b).statistic)
    assert spearman(a, np.zeros(200)) == 0
    assert top_precision(np.arange(100), np.arange(100)) == 1
    assert top_precision(np.arange(100), -np.arange(100)) == 0


def test_too_few_labels_are_refused():
    with pytest.raises(UserError, match="12 labels of 2 signals"):
        train_annotator(labelled(12))


def test_of_two_signals_that_say_the_same_the_lighter_goes():
    weights = {"fluency": 1.0, "knowledge_density": 2.0, "literacy": 1.0}
    chosen = [replace(SIGNALS[name], weight=weight) for name, weight in weights.items()]
    correlations = np.array([[1.0, 0.95, 0.2], [0.95, 1.0, 0.1], [0.2, 0.1, 1.0]])
    (found,) = find_redundant(chosen, correlations, 0.9)
    assert (found.signal, found.like, found.correlation) == ("fluency", "knowledge_density", 0.95)
    assert find_redundant(chosen, correlations, 0.96) == []
