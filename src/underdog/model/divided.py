"""Sequences too long for one process: each of a group holds a share of their tokens (context parallelism).

Queries stay where they are; keys and values are gathered from the group for each layer, as in the training of Llama 3
(arXiv 2407.21783, section 3.3.2), which costs little where few key/value heads serve many queries. Tokens are cut into
twice as many slices as processes, and process p takes slices p and 2P - 1 - p: an early token looks at few others and a
late one at many, so that all processes have about the same to compute.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from underdog.model.attention import PLAIN, Attention, Block, Span, move, of_like_length, places
from underdog.model.config import Scoring

PIECE = 1024
"""Queries whose scores are computed at a time: what bounds the mask, PIECE times the sequence's length."""


class Shares:
    """Who holds which of N tokens; N is a multiple of twice the processes."""

    def __init__(self, tokens: int, processes: int, process: int):
        size = tokens // (2 * processes)
        early, late = process * size, (2 * processes - 1 - process) * size
        self.slices = [(early, early + size), (late, late + size)]
        self.own_M = torch.cat([torch.arange(*ends) for ends in self.slices])
        """The tokens that this process holds, in its own order [M = N / P]."""
        in_turn = torch.arange(2 * processes).view(2, -1)
        in_turn[1] = in_turn[1].flip(0)
        slices = in_turn.T.flatten()  # as they lie when the processes' tokens are gathered
        self.gathered_N = torch.empty(tokens, dtype=torch.int64)
        """The place of each token among those that were gathered from all processes."""
        self.gathered_N[(slices[:, None] * size + torch.arange(size)).flatten()] = torch.arange(tokens)


class Divided(Attention):
    """Causal attention of this process's tokens to all of their sequences."""

    def __init__(self, spans: Sequence[Span], shares: Shares, gather: Callable[[Tensor], Tensor]):
        """The spans cover the N tokens of the group and have no prefixes; `gather` joins the processes' tensors
        [M, …] to [N, …], one after the other."""
        positions, lengths = places(spans)
        self.positions, self.lengths = positions[shares.own_M], lengths[shares.own_M]
        self._gather = gather
        self._groups = of_like_length(list(_pieces(spans, shares.slices)))
        self._gathered_N = shares.gathered_N
        self._local_N = torch.empty_like(shares.gathered_N)
        self._local_N[shares.own_M] = torch.arange(len(shares.own_M))

    def __call__(self, layer: int, q_MHE: Tensor, k_MKE: Tensor, v_MKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        k_NKE, v_NKE = self._gather(torch.stack([k_MKE, v_MKE], dim=1)).unbind(1)
        out_MHE = torch.empty_like(q_MHE)
        for group in self._groups:
            # Scores and masks live while their piece is computed, going forward and again going backward.
            queries, out = checkpoint(self._attend, group, q_MHE, k_NKE, v_NKE, scoring, use_reentrant=False)
            out_MHE = out_MHE.index_copy(0, queries, out)
        return out_MHE

    def _attend(
        self, group: Sequence[Span], q_MHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring
    ) -> tuple[Tensor, Tensor]:
        """The places of a group's queries among this process's tokens, and what they read."""
        block = Block(group)
        move(block, q_MHE.device)
        queries_SQ, keys_SL = self._local_N[block.queries_SQ], self._gathered_N[block.keys_SL]
        out = block.attend(q_MHE[queries_SQ], k_NKE[keys_SL], v_NKE[keys_SL], scoring)
        return queries_SQ.flatten()[block.own_M], out[block.own_M]


def _pieces(spans: Sequence[Span], slices: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """The sequences' parts inside the slices, each of which goes on from what came before it in its sequence."""
    for span in spans:
        for first, last in slices:
            begin, end = max(first, span.start), min(last, span.start + span.length)
            for start in range(begin, end, PIECE):
                yield Span(start, min(PIECE, end - start), span.start, start - span.start)
