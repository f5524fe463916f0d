"""An endless, shuffled stream of a shard's tokens, readable at any position.

Data order is a pure function of (seed, position): a resumed run reads exactly what an uninterrupted one reads.
"""

import numpy as np

from underdog.tokens.shards import Selection, Shard


class Stream:
    """Epoch after epoch of a shard, its documents in a new order each time."""

    def __init__(self, shard: Shard | Selection, seed: int):
        self.shard = shard
        self._seed = seed
        self._epoch = -1

    def read(self, position: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`count` tokens from `position` on.

        Returns ids [count] int64, and starts [count] bool: True where a document begins.
        """
        ids = np.empty(count, np.int64)
        starts = np.zeros(count, bool)
        done = 0
        while done < count:
            epoch, within = divmod(position + done, len(self.shard))
            self._load_epoch(epoch)
            index = int(np.searchsorted(self._ends, within, side="right"))  # document in this epoch's order
            document = self._order[index]
            begin = self._ends[index] - self.shard.lengths[document]
            skip = within - begin
            piece = self.shard.read(int(document), int(skip), count - done)
            ids[done : done + len(piece)] = piece
            starts[done] |= skip == 0
            done += len(piece)
        return ids, starts

    def _load_epoch(self, epoch: int) -> None:
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(key=[self._seed & (2**64 - 1), epoch]))
            self._order = random.permutation(self.shard.documents)
            self._ends = np.cumsum(self.shard.lengths[self._order])
            self._epoch = epoch
