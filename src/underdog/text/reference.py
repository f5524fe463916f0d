"""Likeness to a base of good examples, which the user names: one more signal, `reference_similarity`.

Three heads over hashed words and pairs, each brought to mean 0 and deviation 1 on the base and a sample of the corpus,
and averaged:

- importance weights of DSIR (Xie et al., arXiv 2302.03169): ln p(base) − ln p(corpus) a feature, of the best cluster of
  the base;
- a static vector (latent semantic analysis, Deerwester et al. 1990): cosine to the nearest centre of a cluster;
- a linear head fitted to tell the base from the corpus, and from bad examples where there are some.

A narrow base is a genre detector: that is why it is clustered, why bad examples are worth giving, and why likeness is
one signal beside others and no gate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from underdog.errors import UserError
from underdog.text.kernels.count import count_with_words
from underdog.text.kernels.ngrams import spread, weigh
from underdog.text.linear import Heads, Words, fit

FEWEST = 5
"""Documents of a base, and of a sample of the corpus."""
MOST = 1_000
"""Documents of each that are read: more change the heads little."""
_BUCKETS = 1 << 13
_DIMENSIONS = 64
_CLUSTER = 20  # documents of the base to a cluster, about
_MOST_CLUSTERS = 32
_PENALTY = 0.3


@dataclass(frozen=True)
class Reference:
    importance: NDArray[np.float32]  # (buckets, clusters)
    vectors: NDArray[np.float32]  # (buckets, dimensions)
    centres: NDArray[np.float64]  # (clusters, dimensions), of length 1
    linear: Heads
    means: NDArray[np.float64]  # (3,)
    deviations: NDArray[np.float64]  # (3,)

    def __call__(self, words: Words) -> NDArray[np.float64]:
        """Likeness of each text, about 0 for an ordinary one; shape (texts,)."""
        return ((self._heads(words) - self.means) / self.deviations).mean(axis=1)

    def _heads(self, words: Words) -> NDArray[np.float64]:
        importance = _weighed(words, self.importance).max(axis=1)
        cosine = (_unit(_weighed(words, self.vectors)) @ self.centres.T).max(axis=1)
        linear = self.linear(words, np.zeros((len(words), 0)))[:, 0]
        return np.stack([importance, cosine, linear], axis=1)


def fit_reference(base: Sequence[str], corpus: Sequence[str], bad: Sequence[str] = ()) -> Reference:
    """Heads that tell `base` from `corpus`, a sample of what is to be judged, and from `bad` examples.

    Raises:
        UserError: too few documents.
    """
    for texts, what in ((base, "curate.reference"), (corpus, "The sample of the corpus")):
        if len(texts) < FEWEST:
            raise UserError(f"{what} has {len(texts)} documents; likeness needs {FEWEST} at the least.")
    texts = [*base[:MOST], *corpus[:MOST], *bad[:MOST]]
    kinds = np.repeat([0, 1, 2], [len(base[:MOST]), len(corpus[:MOST]), len(bad[:MOST])])
    _, offsets, hashes = count_with_words(texts)
    words = Words(offsets, hashes)

    vectors = _latent(words)
    placed = _unit(_weighed(words, vectors))
    cluster, centres = _clusters(placed[kinds == 0])
    groups = np.zeros((len(texts), len(centres) + 1))
    groups[np.flatnonzero(kinds == 0), cluster] = 1.0
    groups[kinds != 0, -1] = 1.0
    logs = np.log(_counts(words, groups) + 1.0)
    logs -= np.log(np.exp(logs).sum(axis=0))
    importance = (logs[:, :-1] - logs[:, -1:]).astype(np.float32)
    targets = np.where(kinds == 0, 1.0, -1.0)[:, None]
    linear = fit(words, np.zeros((len(texts), 0)), targets, _PENALTY, _BUCKETS)

    raw = Reference(importance, vectors, centres, linear, np.zeros(3), np.ones(3))
    heads = raw._heads(words)[kinds != 2]
    return Reference(importance, vectors, centres, linear, heads.mean(axis=0), heads.std(axis=0) + 1e-9)


def _weighed(words: Words, weights: NDArray) -> NDArray[np.float64]:
    found = np.empty((len(words), weights.shape[1]))
    weigh(words.hashes, words.offsets, weights, found)
    return found


def _counts(words: Words, groups: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often each bucket occurs in the texts of each group: (buckets, groups)."""
    lengths = np.maximum(1, 2 * np.diff(words.offsets) - 1)
    found = np.zeros((_BUCKETS, groups.shape[1]))
    spread(words.hashes, words.offsets, groups * lengths[:, None], found)
    return found


def _latent(words: Words) -> NDArray[np.float32]:
    """A vector a bucket, (buckets, dimensions): the leading directions of TF-IDF over the texts."""
    shares = _counts(words, np.eye(len(words))) / np.maximum(1, 2 * np.diff(words.offsets) - 1)
    rarity = np.log(len(words) / (1 + (shares > 0).sum(axis=1)) + 1)
    weighted = shares * rarity[:, None]
    weighted /= np.maximum(1e-12, np.sqrt((weighted**2).sum(axis=0)))
    values, turned = np.linalg.eigh(weighted.T @ weighted)
    kept = np.argsort(-values)[: min(_DIMENSIONS, len(words))]
    directions = weighted @ (turned[:, kept] / np.sqrt(np.maximum(values[kept], 1e-9)))
    return (directions * rarity[:, None]).astype(np.float32)


def _clusters(points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Spherical k-means: the cluster of each point, and the centres. Starts from points far from each other."""
    size = int(np.clip(len(points) // _CLUSTER, 1, _MOST_CLUSTERS))
    chosen = [0]
    while len(chosen) < size:
        chosen.append(int((points @ points[chosen].T).max(axis=1).argmin()))
    centres = points[chosen]
    for _ in range(20):
        nearest = (points @ centres.T).argmax(axis=1)
        sums = np.stack([points[nearest == k].sum(axis=0) for k in range(len(centres))])
        moved = np.where(np.abs(sums).sum(axis=1, keepdims=True) > 0, _unit(sums), centres)
        if np.allclose(moved, centres):
            break
        centres = moved
    return nearest, centres


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.maximum(1e-12, np.sqrt((rows**2).sum(axis=1, keepdims=True)))
