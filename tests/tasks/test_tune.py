import pytest

pytest.importorskip("sklearn")

from underdog.errors import UserError
from underdog.tasks.calibrate import calibration_error, fit_temperature
from underdog.tasks.load_tuned import load_tuned
from underdog.tasks.tune import tune


def test_a_file_of_examples_becomes_a_classifier_that_comes_back_the_same(labelled, tmp_path):
    texts, labels = labelled(300)
    tuned, report = tune(texts, labels)
    assert report.rows == 30 and report.accuracy > 0.9 > report.majority and report.calibration_error < 0.2
    tuned.save(tmp_path / "c")
    again = load_tuned(tmp_path / "c")
    for text in labelled(20, seed=1)[0]:
        assert again(text).probabilities == pytest.approx(tuned(text).probabilities, abs=1e-5)
    assert sum(tuned("card").probabilities.values()) == pytest.approx(1)


def test_two_labels(labelled):
    texts, labels = labelled(300)
    tuned, report = tune(texts, ["yes" if label == "lost" else "no" for label in labels])
    assert tuned("stolen card").label == "yes" and report.accuracy > 0.9


def test_what_cannot_be_tuned_is_told(tmp_path):
    with pytest.raises(UserError, match="at least 50 rows of two labels; there are 3 of 1"):
        tune(["a"] * 3, ["x"] * 3)
    with pytest.raises(UserError, match="no tuned classifier"):
        load_tuned(tmp_path)


def testcalibration_error():
    assert calibration_error([0.75] * 4, [True, True, True, False]) == 0
    assert calibration_error([1.0] * 4, [True, True, False, False]) == pytest.approx(0.5)


def test_the_temperature_is_that_of_the_scores():
    """Labels drawn from the softmax of scores at temperature 2 are likeliest near 2."""
    import numpy as np

    draw = np.random.default_rng(0)
    scores = draw.normal(0, 4, (4000, 5))
    shares = np.exp(scores / 2) / np.exp(scores / 2).sum(1, keepdims=True)
    right = [int(draw.choice(5, p=row)) for row in shares]
    assert fit_temperature(scores, right) == pytest.approx(2, rel=0.15)
    assert fit_temperature([], []) == 1.0
