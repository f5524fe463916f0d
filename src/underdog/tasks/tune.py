"""From a labelled file to a fitted, calibrated classifier: the floor that any language model has to beat.

TF-IDF of words and of characters under a linear model, which is hard to beat where there are labelled examples. Kept as
plain files, JSON and safetensors: no pickles. Temperature scaling on held-out rows makes its confidences mean what they
say (Guo et al. 2017); the same rows give the threshold for a stated error.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from underdog.errors import UserError
from underdog.seeds import derive
from underdog.tasks.calibrate import calibration_error, fit_temperature, softmax
from underdog.tasks.classify import Classified
from underdog.tasks.route import Threshold, fit_threshold

HEAD, ABOUT = "head.safetensors", "classifier.json"
VIEWS: tuple[dict[str, Any], ...] = (
    {"analyzer": "word", "ngram_range": (1, 2), "sublinear_tf": True},
    {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True, "max_features": 200_000},
)


@dataclass(frozen=True)
class Report:
    """How it does on held-out rows that neither the fit nor the calibration saw."""

    rows: int
    accuracy: float
    majority: float  # accuracy of always saying the commonest label
    calibration_error: float  # ECE, ten bins
    threshold: Threshold
    confused: tuple[tuple[str, str, int], ...]  # (is, was taken for, how often), commonest first


class Tuned:
    """A fitted classifier; call it with a text."""

    def __init__(self, labels: Sequence[str], views: Sequence[Any], weights_FL: Any, bias_L: Any, temperature: float):
        self.labels = list(labels)
        self._views = views
        self._weights_FL, self._bias_L = weights_FL, bias_L
        self.temperature = temperature

    def __call__(self, text: str) -> Classified:
        (scores,) = self.scores([text])
        shares = dict(zip(self.labels, softmax([score / self.temperature for score in scores]), strict=True))
        return Classified(max(shares, key=shares.__getitem__), shares)

    def scores(self, texts: Sequence[str]) -> Any:
        """[texts, labels]"""
        from scipy.sparse import hstack

        return hstack([view.transform(texts) for view in self._views]).tocsr() @ self._weights_FL + self._bias_L

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"weights": self._weights_FL, "bias": self._bias_L}
        arrays |= {f"idf{i}": view.idf_ for i, view in enumerate(self._views)}
        save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, folder / HEAD)
        words = [{word: int(index) for word, index in view.vocabulary_.items()} for view in self._views]
        about = {"labels": self.labels, "temperature": self.temperature, "vocabularies": words}
        (folder / ABOUT).write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Tuned":
        """Raises UserError: the folder holds no classifier."""
        from safetensors.numpy import load_file

        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            arrays = load_file(folder / HEAD)
        except (OSError, ValueError) as problem:
            raise UserError(f"{folder} holds no tuned classifier: {problem}.") from None
        views = []
        for i, (form, words) in enumerate(zip(VIEWS, about["vocabularies"], strict=True)):
            view = _vectorizer(form, words)
            view.idf_ = arrays[f"idf{i}"].astype(np.float64)
            views.append(view)
        return cls(about["labels"], views, arrays["weights"], arrays["bias"], about["temperature"])


def tune(texts: Sequence[str], labels: Sequence[str], seed: int = 0, error: float = 0.05) -> tuple[Tuned, Report]:
    """Fits on 80 % of the rows, calibrates on 10 %, reports on 10 %.

    Raises:
        UserError: there are too few rows, or fewer than two labels.
    """
    if len(set(labels)) < 2 or len(texts) < 50:
        raise UserError(f"Tuning needs at least 50 rows of two labels; there are {len(texts)} of {len(set(labels))}.")
    order = np.random.default_rng(derive(seed, "tune")).permutation(len(texts))
    tenth = max(10, len(texts) // 10)
    parts = [order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth]]
    (fit, fit_labels), (middle, middle_labels), (held, held_labels) = (
        ([texts[i] for i in part], [labels[i] for i in part]) for part in parts
    )
    tuned = _fit(fit, fit_labels)
    tuned.temperature = _temperature(tuned, middle, middle_labels)
    return tuned, _report(tuned, held, held_labels, Counter(fit_labels).most_common(1)[0][0], error)


def _fit(texts: Sequence[str], labels: Sequence[str]) -> Tuned:
    from scipy.sparse import hstack
    from sklearn.svm import LinearSVC

    views = [_vectorizer(form) for form in VIEWS]
    rows = hstack([view.fit_transform(texts) for view in views]).tocsr()
    model = LinearSVC(C=1.0).fit(rows, labels)
    weights, bias = model.coef_.T, model.intercept_
    if len(model.classes_) == 2:
        weights, bias = np.hstack([-weights, weights]), np.hstack([-bias, bias])
    return Tuned(
        [str(name) for name in model.classes_], views, weights.astype(np.float32), bias.astype(np.float32), 1.0
    )


def _vectorizer(form: Mapping[str, Any], vocabulary: Mapping[str, int] | None = None) -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ModuleNotFoundError:
        raise UserError("Tuning needs scikit-learn.", hint='pip install "underdog[tune]"') from None
    return TfidfVectorizer(**form, vocabulary=vocabulary, dtype=np.float32)


def _temperature(tuned: Tuned, texts: Sequence[str], labels: Sequence[str]) -> float:
    """The one under which the held-out labels are likeliest."""
    scores = tuned.scores(texts)
    known = [
        (row, tuned.labels.index(label)) for row, label in zip(scores, labels, strict=True) if label in tuned.labels
    ]
    return fit_temperature([row for row, _ in known], [right for _, right in known])


def _report(tuned: Tuned, texts: Sequence[str], labels: Sequence[str], commonest: str, error: float) -> Report:
    found = [tuned(text) for text in texts]
    right = [one.label == label for one, label in zip(found, labels, strict=True)]
    confidences = [one.confidence for one in found]
    confused = Counter((label, one.label) for one, label in zip(found, labels, strict=True) if one.label != label)
    return Report(
        len(texts),
        sum(right) / len(right),
        sum(label == commonest for label in labels) / len(labels),
        calibration_error(confidences, right),
        fit_threshold(confidences, right, error),
        tuple((is_, taken, count) for (is_, taken), count in confused.most_common(10)),
    )


def write_report(report: Report, folder: Path) -> None:
    (folder / "report.json").write_text(json.dumps(asdict(report), ensure_ascii=False, indent=2), encoding="utf-8")
