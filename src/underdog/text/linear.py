"""Heads over hashed words and pairs, and over a few dense figures beside them, fitted by ridge regression."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from underdog.text.kernels.ngrams import spread, weigh

BUCKETS = 1 << 16
_STEPS = 40  # of conjugate gradients; the residual is then far below the noise of labels
_SCALE = 8.0  # of the hashed features beside the dense ones: their squares sum to well under 1


@dataclass(frozen=True)
class Words:
    """Hashed words of many texts: those of text i are `hashes[offsets[i] : offsets[i + 1]]`."""

    offsets: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, texts: NDArray[np.int64]) -> "Words":
        parts = [self.hashes[self.offsets[i] : self.offsets[i + 1]] for i in texts]
        offsets = np.concatenate(([0], np.cumsum([len(part) for part in parts], dtype=np.int64)))
        return Words(offsets, np.concatenate(parts) if parts else self.hashes[:0])


@dataclass(frozen=True)
class Heads:
    """One value a text and head: weights of buckets, of dense figures, and a constant."""

    buckets: NDArray[np.float32]  # (buckets, heads)
    dense: NDArray[np.float64]  # (figures, heads)
    constant: NDArray[np.float64]  # (heads,)

    def __call__(self, words: Words, dense: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape (texts, heads)."""
        found = np.empty((len(words), self.buckets.shape[1]))
        weigh(words.hashes, words.offsets, self.buckets, found)
        return found + (dense[:, :, None] * self.dense).sum(axis=1) + self.constant


def fit(
    words: Words, dense: NDArray[np.float64], targets: NDArray[np.float64], penalty: float, buckets: int = BUCKETS
) -> Heads:
    """Heads that come nearest to `targets` (texts, heads), NaN where there is none.

    Minimises Σ (value − target)² + penalty · ‖weights‖² for each head, by conjugate gradients on the normal equations.
    The hashed features count `_SCALE` times, so that one penalty suits both kinds.
    """
    known = ~np.isnan(targets)
    constant = np.nanmean(targets, axis=0)
    residual = np.where(known, targets - constant, 0.0)
    heads = targets.shape[1]

    def forward(sparse: NDArray, full: NDArray) -> NDArray:
        found = np.empty((len(words), heads))
        weigh(words.hashes, words.offsets, sparse, found)
        return known * (_SCALE * found + dense @ full)

    def backward(values: NDArray) -> tuple[NDArray, NDArray]:
        sparse = np.zeros((buckets, heads))
        spread(words.hashes, words.offsets, _SCALE * values, sparse)
        return sparse, dense.T @ values

    weights = [np.zeros((buckets, heads)), np.zeros((dense.shape[1], heads))]
    gradient = list(backward(residual))
    direction = [part.copy() for part in gradient]
    norm = _squares(gradient)
    for _ in range(_STEPS):
        curved = backward(forward(*direction))
        curvature = sum((d * (c + penalty * d)).sum(axis=0) for d, c in zip(direction, curved, strict=True))
        step = np.where(curvature > 0, norm / np.maximum(curvature, 1e-300), 0.0)
        for part, along, down, c in zip(weights, direction, gradient, curved, strict=True):
            part += step * along
            down -= step * (c + penalty * along)
        before, norm = norm, _squares(gradient)
        ratio = np.where(before > 0, norm / np.maximum(before, 1e-300), 0.0)
        direction = [down + ratio * along for down, along in zip(gradient, direction, strict=True)]
    return Heads((_SCALE * weights[0]).astype(np.float32), weights[1], constant)


def _squares(parts: list[NDArray]) -> NDArray[np.float64]:
    return sum((part * part).sum(axis=0) for part in parts)
