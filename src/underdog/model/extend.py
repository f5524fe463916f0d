"""One sequence that grows: what has been read of it is kept, and goes on from any place.

Shapes: N new tokens, H heads, K key/value heads, E head width, C tokens seen.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from underdog.model.attention import PLAIN, Attention, _masked
from underdog.model.config import ModelConfig, Scoring


class History:
    """The ids that a model has read, with their keys and values."""

    def __init__(self, config: ModelConfig):
        shape = (config.kv_heads, 0, config.head_width)
        self.ids: list[int] = []
        self.k, self.v = ([torch.zeros(shape) for _ in range(config.layers)] for _ in "kv")

    def keep(self, length: int) -> None:
        """Forgets all but the first tokens."""
        del self.ids[length:]

    def make_room(self, tokens: int) -> None:
        """Grows by doubling, so that a long answer copies what it holds only a few times."""
        if (held := self.k[0].shape[1]) < tokens:
            room = max(tokens, 2 * held) - held
            self.k, self.v = ([pad(x_KCE, (0, 0, 0, room)) for x_KCE in xs] for xs in (self.k, self.v))


class Extend(Attention):
    """Reads N tokens behind a history, and leaves their keys and values in it.

    They may be several branches, laid end to end, each of which goes on from the history and sees none of the
    others: options that are compared behind one prompt. The history then has to be cut back.
    """

    def __init__(self, history: History, branches: Sequence[int]):
        """`branches`: how many tokens each has."""
        held, count = len(history.ids), sum(branches)
        history.make_room(held + count)
        self._history = history
        self._places = slice(held, held + count)
        branch_N = torch.arange(len(branches)).repeat_interleave(torch.tensor(branches))
        starts = torch.tensor(branches).cumsum(0) - torch.tensor(branches)
        self.positions = held + torch.arange(count) - starts[branch_N]
        self.lengths = held + torch.tensor(branches)[branch_N]
        self._age_NC = self.positions[:, None] - torch.cat([torch.arange(held), self.positions])
        same_NN = branch_N[:, None] == branch_N
        self._seen_NC = (self._age_NC >= 0) & torch.cat([torch.ones(count, held, dtype=torch.bool), same_NN], dim=1)

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        k_KCE, v_KCE = self._history.k[layer], self._history.v[layer]
        k_KCE[:, self._places] = k_NKE.transpose(0, 1)
        v_KCE[:, self._places] = v_NKE.transpose(0, 1)
        mask_NC = self._seen_NC if scoring.window is None else self._seen_NC & (self._age_NC < scoring.window)
        seen_k, seen_v = k_KCE[None, :, : self._places.stop], v_KCE[None, :, : self._places.stop]
        return _masked(q_NHE.transpose(0, 1)[None], seen_k, seen_v, mask_NC, scoring)[0].transpose(0, 1)
