"""The prefix cache: what was read of earlier prompts stays, and the next one that begins alike goes on from there."""

from underdog.model.config import ModelConfig
from underdog.model.history import History

BYTES = 2**30  # what histories that nobody uses may hold together; the last used one stays in any case
WORTH = 16  # tokens that are sooner copied than read


class Prefixes:
    """Histories, of which some are in use and some wait for a prompt that begins like theirs."""

    def __init__(self, config: ModelConfig, most: int, int8: bool = False):
        """`most` stay idle."""
        self._config, self._most, self._int8 = config, most, int8
        self._used: list[History] = []
        self._idle: list[History] = []  # the last used one last

    def take(self, ids: list[int], most: int) -> History:
        """A history that begins with the ids, as far as any does, by at most `most` tokens."""
        known = [*self._idle, *self._used]
        best = max(known, key=lambda history: history.shared(ids), default=None)
        shared = min(best.shared(ids), most) if best else 0
        if shared and best in self._idle and 2 * shared >= len(best.ids):
            self._idle.remove(best)
        else:  # the rest of the best one may be asked for again, or is being drawn
            best, source = History(self._config, self._int8), best
            if shared >= WORTH:
                best.copy(source, shared)
        best.keep(shared)
        self._used.append(best)
        return best

    def give(self, history: History) -> None:
        """It is not in use any more."""
        self._used.remove(history)
        self._idle.append(history)
        held = sum(one.nbytes for one in self._idle)
        while len(self._idle) > 1 and (len(self._idle) > self._most or held > BYTES):
            held -= self._idle.pop(0).nbytes
