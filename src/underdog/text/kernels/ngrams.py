"""Linear heads over hashed words and pairs of words: many at once, for as many texts as there are.

The features of a text are its words and its pairs of neighbours, hashed into buckets; a head is one weight a bucket,
and its value the mean weight over the text (Weinberger et al. 2009).
"""

import numpy as np

from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.hashing import follow


@compiled
def weigh(words, offsets, weights, out):
    """`out` (texts, heads), float64: the mean of `weights` (buckets, heads), buckets a power of two, over each text's
    words and pairs."""
    last = np.uint64(len(weights) - 1)
    for text in range(len(offsets) - 1):
        out[text] = 0.0
        start, end = offsets[text], offsets[text + 1]
        for index in range(start, end):
            bucket = np.int64((words[index] >> np.uint64(7)) & last)
            for head in range(weights.shape[1]):
                out[text, head] += weights[bucket, head]
            if index > start:
                bucket = np.int64((follow(words[index - 1], words[index]) >> np.uint64(7)) & last)
                for head in range(weights.shape[1]):
                    out[text, head] += weights[bucket, head]
        out[text] /= max(1, 2 * (end - start) - 1)


@compiled
def spread(words, offsets, values, out):
    """The transpose of `weigh`: adds to `out` (buckets, heads) each text's `values` (texts, heads), shared among its
    words and pairs."""
    last = np.uint64(len(out) - 1)
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        share = 1.0 / max(1, 2 * (end - start) - 1)
        for index in range(start, end):
            bucket = np.int64((words[index] >> np.uint64(7)) & last)
            for head in range(values.shape[1]):
                out[bucket, head] += share * values[text, head]
            if index > start:
                bucket = np.int64((follow(words[index - 1], words[index]) >> np.uint64(7)) & last)
                for head in range(values.shape[1]):
                    out[bucket, head] += share * values[text, head]
