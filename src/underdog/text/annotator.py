"""The annotator: a strong model's labels from 0 to 9, learned by linear heads that run at the speed of counting.

Nanbeige4 (arXiv 2512.06266, section Data) distils a strong model's labels into a small annotator. Here every labelled
dimension is a head over hashed words and pairs and over the twenty counted signals; it fills the column of the signal
that it is named after.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from underdog.errors import UserError
from underdog.seeds import derive
from underdog.text.kernels.count import Counts, count_with_words
from underdog.text.labels import Label
from underdog.text.linear import Heads, Words, fit
from underdog.text.signals import SIGNALS

FEWEST = 50
"""Labels. With fewer nothing can be learned and nothing measured."""
_HELD_OUT = 0.1
_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
_GRID = 101  # quantiles by which a raw signal becomes a rank in 0..1


@dataclass(frozen=True)
class Annotator:
    names: tuple[str, ...]  # the signals that it fills
    heads: Heads
    quantiles: NDArray[np.float64]  # (signals, _GRID): of the raw values on the labelled texts

    def __call__(self, counts: Counts, words: Words) -> NDArray[np.float64]:
        """Labels that the strong model would give, about: shape (texts, names)."""
        return self.heads(words, _ranked(counts, self.quantiles))


def train_annotator(labels: Sequence[Label], seed: int = 0) -> tuple[Annotator, dict[str, dict[str, float]]]:
    """An annotator fitted to nine tenths of the labels, and by signal how well it and the count agree with the other
    tenth: `spearman`, `precision` (of its best tenth, the share that is in the labels' best tenth) and the same of
    the count (`counted_spearman`, …).

    Raises:
        UserError: too few labels, or none of a signal.
    """
    names = tuple(name for name in SIGNALS if any(name in label.scores for label in labels))
    if len(labels) < FEWEST or not names:
        raise UserError(
            f"{len(labels)} labels of {len(names)} signals are too few to learn from.",
            hint=f"Label {FEWEST} texts at the least; some thousand are better.",
        )
    counts, words = _count([label.text for label in labels])
    targets = np.array([[label.scores.get(name, np.nan) for name in names] for label in labels], np.float64)
    raw = np.stack([signal.measure(counts) for signal in SIGNALS.values()])
    quantiles = np.quantile(raw, np.linspace(0, 1, _GRID), axis=1).T
    dense = _ranked(counts, quantiles)

    order = np.random.default_rng(derive(seed, "annotator")).permutation(len(labels))
    test, rest = np.split(order, [max(1, int(_HELD_OUT * len(labels)))])
    tune, train = np.split(rest, [max(1, int(_HELD_OUT * len(labels)))])

    def fitted(texts: NDArray, penalty: float) -> Heads:
        return fit(words.take(texts), dense[texts], targets[texts], penalty)

    def error(heads: Heads) -> float:
        return float(np.nanmean((heads(words.take(tune), dense[tune]) - targets[tune]) ** 2))

    penalty = min(_PENALTIES, key=lambda penalty: error(fitted(train, penalty)))
    heads = fitted(rest, penalty)
    predicted = heads(words.take(test), dense[test])
    agreement = {
        name: _agreement(targets[test, k], predicted[:, k], raw[list(SIGNALS).index(name), test])
        for k, name in enumerate(names)
    }
    return Annotator(names, heads, quantiles), agreement


def _count(texts: Sequence[str]) -> tuple[Counts, Words]:
    counts, offsets, words = count_with_words(texts)
    return counts, Words(offsets, words)


def _ranked(counts: Counts, quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The counted signals as ranks among the labelled texts, −½..½, shape (texts, signals)."""
    grid = np.linspace(-0.5, 0.5, _GRID)
    columns = [
        np.interp(signal.measure(counts), at, grid) for signal, at in zip(SIGNALS.values(), quantiles, strict=True)
    ]
    return np.stack(columns, axis=1)


def _agreement(labels: NDArray, predicted: NDArray, counted: NDArray) -> dict[str, float]:
    known = ~np.isnan(labels)
    labels, predicted, counted = labels[known], predicted[known], counted[known]
    return {
        "labels": int(known.sum()),
        "spearman": spearman(labels, predicted),
        "precision": top_precision(labels, predicted),
        "counted_spearman": spearman(labels, counted),
        "counted_precision": top_precision(labels, counted),
    }


def spearman(a: NDArray, b: NDArray) -> float:
    """Correlation of the ranks, ties sharing their mean rank; 0 where either is constant."""
    return float(rank_correlations(np.stack([a, b], axis=1))[0, 1])


def rank_correlations(columns: NDArray) -> NDArray[np.float64]:
    """Spearman's correlation of each two of the columns: (rows, columns) -> (columns, columns)."""
    ranks = np.stack([_mean_ranks(column) for column in columns.T], axis=1)
    ranks -= ranks.mean(axis=0) if len(ranks) else 0.0
    sizes = np.sqrt((ranks * ranks).sum(axis=0))
    products = np.outer(sizes, sizes)
    return ranks.T @ ranks / np.where(products > 0, products, np.inf)


def top_precision(labels: NDArray, predicted: NDArray, share: float = 0.1) -> float:
    """Of the best tenth by `predicted`, the share whose label is one of a best tenth by `labels`."""
    most = max(1, round(share * len(labels)))
    least = np.sort(labels)[-most] if len(labels) else 0.0
    best = np.argsort(-predicted, kind="stable")[:most]
    return float((labels[best] >= least).mean()) if len(labels) else 0.0


def _mean_ranks(values: NDArray) -> NDArray[np.float64]:
    _, places, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[places]
