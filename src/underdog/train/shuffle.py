"""A shuffled, endless order of items that can be read from any position."""

import numpy as np

from underdog.seeds import derive


class Shuffle:
    """Position -> index of an item, a new permutation each epoch; a pure function of (seed, position)."""

    def __init__(self, items: int, seed: int):
        self._items = items
        self._seed = seed
        self._epoch = -1

    def __getitem__(self, position: int) -> int:
        epoch, within = divmod(position, self._items)
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(derive(self._seed, epoch)))
            self._epoch, self._order = epoch, random.permutation(self._items)
        return int(self._order[within])
