"""The floor that any language model has to beat: TF-IDF of words and of characters under a linear model.

Hard to beat where there are labelled examples. Kept as plain files, JSON and safetensors: no pickles.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from underdog.errors import UserError, extra
from underdog.tasks.tuned import Tuned, write_about

HEAD = "head.safetensors"
VIEWS: tuple[dict[str, Any], ...] = (
    {"analyzer": "word", "ngram_range": (1, 2), "sublinear_tf": True},
    {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True, "max_features": 200_000},
)


class Floor(Tuned):
    def __init__(self, labels: Sequence[str], views: Sequence[Any], weights_FL: Any, bias_L: Any):
        super().__init__(labels)
        self._views = views
        self._weights_FL, self._bias_L = weights_FL, bias_L

    def scores(self, texts: Sequence[str]) -> Any:
        from scipy.sparse import hstack

        return hstack([view.transform(texts) for view in self._views]).tocsr() @ self._weights_FL + self._bias_L

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        words = [{word: int(index) for word, index in view.vocabulary_.items()} for view in self._views]
        write_about(folder, labels=self.labels, temperature=self.temperature, vocabularies=words)
        arrays = {"weights": self._weights_FL, "bias": self._bias_L}
        arrays |= {f"idf{i}": view.idf_ for i, view in enumerate(self._views)}
        save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, folder / HEAD)

    @classmethod
    def load(cls, folder: Path, about: Mapping[str, Any]) -> "Floor":
        """Raises UserError: the folder is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            arrays = load_file(folder / HEAD)
            views = []
            for i, (form, words) in enumerate(zip(VIEWS, about["vocabularies"], strict=True)):
                view = _vectorizer(form, words)
                view.idf_ = arrays[f"idf{i}"].astype(np.float64)
                views.append(view)
            found = cls(about["labels"], views, arrays["weights"], arrays["bias"])
            found.temperature = about["temperature"]
        except (OSError, ValueError, KeyError, SafetensorError) as problem:
            raise UserError(f"{folder} holds no whole classifier: {problem}.", hint="Tune again.") from None
        return found


def fit_floor(texts: Sequence[str], labels: Sequence[str]) -> Floor:
    with extra("tune", "Tuning"):
        from scipy.sparse import hstack
        from sklearn.svm import LinearSVC

    views = [_vectorizer(form) for form in VIEWS]
    rows = hstack([view.fit_transform(texts) for view in views]).tocsr()
    model = LinearSVC(C=1.0).fit(rows, labels)
    weights, bias = model.coef_.T, model.intercept_
    if len(model.classes_) == 2:
        weights, bias = np.hstack([-weights, weights]), np.hstack([-bias, bias])
    return Floor([str(name) for name in model.classes_], views, weights.astype(np.float32), bias.astype(np.float32))


def _vectorizer(form: Mapping[str, Any], vocabulary: Mapping[str, int] | None = None) -> Any:
    with extra("tune", "A classifier by TF-IDF"):
        from sklearn.feature_extraction.text import TfidfVectorizer
    return TfidfVectorizer(**form, vocabulary=vocabulary, dtype=np.float32)
