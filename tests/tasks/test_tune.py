import pytest

pytest.importorskip("sklearn")

from underdog.errors import UserError
from underdog.tasks.tune import Tuned, _calibration_error, tune


def test_a_file_of_examples_becomes_a_classifier_that_comes_back_the_same(labelled, tmp_path):
    texts, labels = labelled(300)
    tuned, report = tune(texts, labels)
    assert report.rows == 30 and report.accuracy > 0.9 > report.majority and report.calibration_error < 0.2
    tuned.save(tmp_path / "c")
    again = Tuned.load(tmp_path / "c")
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
        Tuned.load(tmp_path)


def test_calibration_error():
    assert _calibration_error([0.75] * 4, [True, True, True, False]) == 0
    assert _calibration_error([1.0] * 4, [True, True, False, False]) == pytest.approx(0.5)
