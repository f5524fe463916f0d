"""Where batches come from: packed rows for pretraining, shuffled conversations for SFT.

Both are pure functions of the step, so that a resumed run reads what an uninterrupted one reads.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
import torch

from underdog.model.attention import Span
from underdog.tokens.streams import Stream
from underdog.train.batch import Batch
from underdog.train.shuffle import Shuffle

T = TypeVar("T")


def packed_rows(
    rows: Sequence[tuple[str, int]], streams: Mapping[str, Stream], context: int, part_tokens: int
) -> list[Batch]:
    """Rows of `context` tokens, given as (source, position in its stream), in parts of `part_tokens`.

    A row may hold the end of one document and the beginning of the next; each is a sequence of its own.
    """
    together = max(1, part_tokens // context)
    return [_packed(rows[i : i + together], streams, context) for i in range(0, len(rows), together)]


def _packed(rows: Sequence[tuple[str, int]], streams: Mapping[str, Stream], context: int) -> Batch:
    ids, targets, weights = (np.empty(len(rows) * context, np.int64) for _ in range(3))
    spans: list[Span] = []
    for index, (source, position) in enumerate(rows):
        here = slice(index * context, (index + 1) * context)
        tokens, starts = streams[source].read(position, context + 1)
        ids[here], targets[here] = tokens[:-1], tokens[1:]
        weights[here] = ~starts[1:]  # the last token of a document predicts nothing
        edges = np.flatnonzero(starts[1:-1]) + 1
        bounds = [0, *edges.tolist(), context]
        spans += [Span(index * context + low, high - low) for low, high in pairwise(bounds)]
    return Batch(torch.from_numpy(ids), torch.from_numpy(targets), torch.from_numpy(weights).float(), spans)


class Shuffled(Generic[T]):
    """Examples in a new order each epoch, the same number at every step."""

    def __init__(
        self,
        examples: Sequence[T],
        batch_tokens: int,
        seed: int,
        size: Callable[[T], int] = lambda example: len(example.ids),
    ):
        self._examples = examples
        self._order = Shuffle(len(examples), seed)
        mean = sum(map(size, examples)) / len(examples)
        self.per_step = min(len(examples), max(1, round(batch_tokens / mean)))

    def at(self, step: int) -> list[T]:
        first = step * self.per_step
        return [self._examples[self._order[position]] for position in range(first, first + self.per_step)]

    def epochs(self, steps: int) -> float:
        return steps * self.per_step / len(self._examples)
