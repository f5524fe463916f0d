"""Reading on behind what has been read: several sequences in one pass, each by as many tokens as it likes.

A pass takes one token of an answer that is being drawn and a piece of a prompt alike, without padding: the sequences'
tokens are laid end to end, and only attention treats them one by one.
Shapes: N new tokens, H heads, K key/value heads, E head width, C tokens seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from underdog.model.attention import PLAIN, Attention, masked_attention
from underdog.model.config import Scoring
from underdog.model.history import History


@dataclass(frozen=True)
class Part:
    """Tokens behind a history, in which their keys and values are left; whoever reads them adds their ids.

    They may be several branches, laid end to end, each of which goes on from the history and sees none of the
    others: options that are compared behind one prompt. The history then has to be cut back.
    """

    history: History
    branches: Sequence[int]  # how many tokens each has


class Extend(Attention):
    """Reads N tokens behind their histories."""

    def __init__(self, parts: Sequence[Part]):
        self._readers, start = [], 0
        for part in parts:
            self._readers.append(_Reader(part, start))
            start += sum(part.branches)
        self.positions = torch.cat([reader.positions for reader in self._readers])
        self.lengths = torch.cat([reader.lengths for reader in self._readers])

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        out = [r.attend(layer, q_NHE[r.own], k_NKE[r.own], v_NKE[r.own], scoring) for r in self._readers]
        return torch.cat(out) if len(out) > 1 else out[0]


class _Reader:
    """The attention of one part. `own`: where its tokens are among the N."""

    def __init__(self, part: Part, start: int):
        self._history = part.history
        self._held, count = len(part.history.ids), sum(part.branches)
        self._history.make_room(self._held + count)
        self.own = slice(start, start + count)
        lengths = torch.tensor(part.branches)
        self._branch_N = torch.arange(len(lengths)).repeat_interleave(lengths)
        self.positions = self._held + torch.arange(count) - (lengths.cumsum(0) - lengths)[self._branch_N]
        self.lengths = self._held + lengths[self._branch_N]
        self._masks: dict[int | None, Tensor | None] = {}

    def attend(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring) -> Tensor:
        k, v = self._history.k[layer], self._history.v[layer]
        k.write(self._held, k_NKE)
        v.write(self._held, v_NKE)
        seen = self._first(scoring.window), self._held + len(k_NKE)
        mask_NC = self._mask(scoring.window)
        q_1HNE, k_1KCE, v_1KCE = q_NHE.transpose(0, 1)[None], k.read(*seen)[None], v.read(*seen)[None]
        return masked_attention(q_1HNE, k_1KCE, v_1KCE, mask_NC, scoring)[0].transpose(0, 1)

    def _first(self, window: int | None) -> int:
        """The first place that any of the tokens sees."""
        return 0 if window is None else max(0, self._held - window + 1)

    def _mask(self, window: int | None) -> Tensor | None:
        """True where a token may look; None where each may look everywhere. Once for all layers."""
        if window not in self._masks:
            self._masks[window] = None if len(self.positions) == 1 else self._seen(window)
        return self._masks[window]

    def _seen(self, window: int | None) -> Tensor:
        here_N1 = self.positions[:, None]
        places_C = torch.cat([torch.arange(self._first(window), self._held), self.positions])
        seen_NC = here_N1 >= places_C
        seen_NC[:, -len(here_N1) :] &= self._branch_N[:, None] == self._branch_N
        return seen_NC if window is None else seen_NC & (places_C > here_N1 - window)
