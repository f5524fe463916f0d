"""Who may look at whom: packed documents here, a cache while generating (cache.py).

The decoder's blocks hand queries, keys and values to an `Attention` and know nothing of documents or caches.
Shapes: N tokens of all sequences laid end to end, H heads, K key/value heads, E head width,
S sequences, Q queries and L keys of the longest of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from underdog.model.config import Scoring

PLAIN = Scoring()
MOST_PAIRS = 2**26
"""Pairs of a query and a key that are computed together, unless a single sequence has more: what bounds a mask."""


class Attention(ABC):
    """The attention of one forward pass."""

    positions: Tensor  # [N] int64: each token's place in its own sequence
    lengths: Tensor  # [N] int64: the length of that sequence, as far as this pass knows it

    @abstractmethod
    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        """Returns [N, H, E]."""

    def to(self, device: torch.device) -> None:
        """Follows the model to where it is."""
        move(self, device)


def move(holder: object, device: torch.device) -> None:
    """Moves the tensors that an object holds."""
    for name, value in vars(holder).items():
        if isinstance(value, Tensor):
            setattr(holder, name, value.to(device))


@dataclass(frozen=True)
class Span:
    """A sequence among the N tokens. It may go on from a prefix that other sequences share: the answers of a
    group all read one copy of their prompt."""

    start: int
    length: int
    prefix_start: int = 0
    prefix_length: int = 0

    @property
    def whole(self) -> int:
        """Tokens that the last one of the sequence sees, itself included."""
        return self.prefix_length + self.length

    @property
    def work(self) -> int:
        """Pairs of a query and a key."""
        return self.length * self.whole


def places(spans: Sequence[Span]) -> tuple[Tensor, Tensor]:
    """Each token's place in its own sequence, and that sequence's length [N]."""
    positions, lengths = torch.empty(2, sum(span.length for span in spans), dtype=torch.int64)
    for span in spans:
        here = slice(span.start, span.start + span.length)
        positions[here] = torch.arange(span.prefix_length, span.whole)
        lengths[here] = span.whole
    return positions, lengths


def end_to_end(lengths: Sequence[int]) -> list[Span]:
    """Sequences of these lengths, one after the other."""
    return [Span(start, length) for start, length in zip(accumulate(lengths, initial=0), lengths, strict=False)]


class Packed(Attention):
    """Causal attention inside each sequence, and none between sequences, without padding the rest of the model.

    Sequences of like length are gathered into one padded block for the attention itself; everything else in the
    decoder works on the N real tokens only.
    """

    def __init__(self, spans: Sequence[Span]):
        """The spans cover the N tokens, each token once, in any order."""
        self.positions, self.lengths = places(spans)
        self._blocks = [Block(group) for group in of_like_length(spans)]

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        if len(self._blocks) == 1 and self._blocks[0].is_view:
            rows = self._blocks[0].keys_SL.shape
            return self._blocks[0].attend(*(x.unflatten(0, rows) for x in (q_NHE, k_NKE, v_NKE)), scoring)
        out_NHE = torch.empty_like(q_NHE)
        for block in self._blocks:
            q, k, v = q_NHE[block.queries_SQ], k_NKE[block.keys_SL], v_NKE[block.keys_SL]
            out = block.attend(q, k, v, scoring)
            out_NHE = out_NHE.index_copy(0, block.queries_SQ.flatten()[block.own_M], out[block.own_M])
        return out_NHE

    def to(self, device: torch.device) -> None:
        for holder in (self, *self._blocks):
            move(holder, device)


class Block:
    """Sequences padded to the longest among them; either all of them have a prefix or none has.

    `queries_SQ` and `keys_SL` name the token at each place, `own_M` the places of queries whose results are kept: not
    the padding, which sits at the end where no real token sees it. A prefix is read but asks nothing: its results
    are another sequence's.
    """

    def __init__(self, spans: Sequence[Span]):
        start, length, prefix_start, prefix = torch.tensor(
            [(span.start, span.length, span.prefix_start, span.prefix_length) for span in spans]
        ).T[:, :, None]
        steps_L = torch.arange(max(span.whole for span in spans))
        steps_Q = torch.arange(max(span.length for span in spans))
        own_SL = start + torch.minimum(steps_L - prefix, length - 1)  # padding repeats the last token
        self.keys_SL = torch.where(steps_L < prefix, prefix_start + steps_L, own_SL)
        self.queries_SQ = start + torch.minimum(steps_Q, length - 1)
        self.own_M = (steps_Q < length).flatten().nonzero().squeeze(1)
        self.distance_SQL = (prefix + steps_Q)[:, :, None] - steps_L if prefix.any() else None
        self._masks: dict[int | None, Tensor] = {}  # by window: most layers share one
        keys = self.keys_SL.flatten()
        self.is_view = len(self.own_M) == len(keys) and bool((keys == torch.arange(len(keys))).all())

    def attend(self, q_SQHE: Tensor, k_SLKE: Tensor, v_SLKE: Tensor, scoring: Scoring) -> Tensor:
        """Causal attention; returns [S * Q, H, E]."""
        q, k, v = (x.transpose(1, 2) for x in (q_SQHE, k_SLKE, v_SLKE))
        if self.distance_SQL is None:
            out = _causal(q, k, v, scoring)
        else:
            out = masked_attention(q, k, v, self._mask(scoring.window), scoring)
        return out.transpose(1, 2).flatten(0, 1)

    def _mask(self, window: int | None) -> Tensor:
        """Who of a sequence that goes on from a prefix may look at whom [S, 1, Q, L]."""
        if window not in self._masks:
            mask_SQL = self.distance_SQL >= 0
            if window:
                mask_SQL &= self.distance_SQL < window
            self._masks[window] = mask_SQL[:, None]
        return self._masks[window]


def _causal(q_SHLE: Tensor, k_SKLE: Tensor, v_SKLE: Tensor, scoring: Scoring) -> Tensor:
    """Attention of every token to those before it, or to those of them within the window."""
    L = q_SHLE.shape[2]
    window = scoring.window or L
    if window >= L and scoring.cap is None:
        return scaled_dot_product_attention(
            q_SHLE, k_SKLE, v_SKLE, is_causal=True, scale=scoring.scale, enable_gqa=True
        )
    # A window's length of queries at a time: they see at most twice that many keys, however long the sequence is.
    parts, steps_L = [], torch.arange(L, device=q_SHLE.device)
    for start in range(0, L, window):
        queries, keys = slice(start, start + window), slice(max(0, start - window + 1), start + window)
        distance = steps_L[queries, None] - steps_L[keys]
        mask = (distance >= 0) & (distance < window)
        parts.append(masked_attention(q_SHLE[:, :, queries], k_SKLE[:, :, keys], v_SKLE[:, :, keys], mask, scoring))
    return torch.cat(parts, dim=2)


def masked_attention(q_SHLE: Tensor, k_SKCE: Tensor, v_SKCE: Tensor, mask: Tensor | None, scoring: Scoring) -> Tensor:
    """Attention where the mask, broadcast to [S, H, L, C], is True; everywhere where there is none."""
    share = q_SHLE.shape[1] // k_SKCE.shape[1]
    if scoring.cap is None:
        return scaled_dot_product_attention(
            q_SHLE, k_SKCE, v_SKCE, attn_mask=mask, scale=scoring.scale, enable_gqa=share > 1
        )
    # No fused kernel caps scores.
    k_SHCE, v_SHCE = k_SKCE.repeat_interleave(share, 1), v_SKCE.repeat_interleave(share, 1)
    scores = q_SHLE @ k_SHCE.mT * (scoring.scale or q_SHLE.shape[-1] ** -0.5)
    scores = scoring.cap * (scores / scoring.cap).tanh()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(-1) @ v_SHCE


def of_like_length(spans: Sequence[Span], waste: float = 1.3) -> list[list[Span]]:
    """Groups sequences so that padding costs at most about `waste` times their own attention, MOST_PAIRS at a time."""
    groups: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: (span.prefix_length > 0, -span.work, span.start)):
        first = groups[-1][0] if groups else None
        alike = first and (first.prefix_length > 0) == (span.prefix_length > 0)
        bounded = first and first.work * (len(groups[-1]) + 1) <= MOST_PAIRS
        if alike and bounded and first.work <= waste * max(span.work, 16 * 16):
            groups[-1].append(span)
        else:
            groups.append([span])
    return [sorted(group, key=lambda span: span.start) for group in groups]
