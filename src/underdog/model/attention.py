"""Who may look at whom: packed documents while training, a cache while generating.

The decoder's blocks hand queries, keys and values to an `Attention` and know nothing of documents or caches.
Shapes: N tokens of all sequences laid end to end, H heads, K key/value heads, E head width,
S sequences, L tokens of the longest of them, R rows of a cache, C its capacity in tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from underdog.model.config import ModelConfig, Scoring

PLAIN = Scoring()


class Attention(ABC):
    """The attention of one forward pass."""

    positions: Tensor  # [N] int64: each token's place in its own sequence
    lengths: Tensor  # [N] int64: the length of that sequence, as far as this pass knows it

    @abstractmethod
    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        """Returns [N, H, E]."""

    def to(self, device: torch.device) -> None:
        """Follows the model to where it is."""
        _move(self, device)


def _move(holder: object, device: torch.device) -> None:
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
        self.positions, self.lengths = torch.empty(2, sum(span.length for span in spans), dtype=torch.int64)
        for span in spans:
            here = slice(span.start, span.start + span.length)
            self.positions[here] = torch.arange(span.prefix_length, span.whole)
            self.lengths[here] = span.whole
        self._blocks = [_Block(group) for group in _of_like_length(spans)]

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        if len(self._blocks) == 1 and self._blocks[0].is_view:
            return self._blocks[0].attend(q_NHE, k_NKE, v_NKE, scoring)
        out_NHE = torch.empty_like(q_NHE)
        for block in self._blocks:
            rows_SL = block.rows_SL
            out = block.attend(q_NHE[rows_SL], k_NKE[rows_SL], v_NKE[rows_SL], scoring)
            out_NHE = out_NHE.index_copy(0, rows_SL.flatten()[block.own_M], out[block.own_M])
        return out_NHE

    def to(self, device: torch.device) -> None:
        for holder in (self, *self._blocks):
            _move(holder, device)


class _Block:
    """Sequences padded to the longest among them.

    `rows_SL` names the token at each place, `own_M` the places whose results are kept: not the padding, which
    sits at the end where no real token sees it, and not the prefixes, whose results another sequence gives.
    """

    def __init__(self, spans: Sequence[Span]):
        start, length, prefix_start, prefix = torch.tensor(
            [(span.start, span.length, span.prefix_start, span.prefix_length) for span in spans]
        ).T[:, :, None]
        steps_L = torch.arange(max(span.whole for span in spans))
        after_SL = torch.minimum(steps_L - prefix, length - 1)  # padding repeats the last token
        self.rows_SL = torch.where(steps_L < prefix, prefix_start + steps_L, start + after_SL)
        self.own_M = ((steps_L >= prefix) & (steps_L < prefix + length)).flatten().nonzero().squeeze(1)
        places = self.rows_SL.numel()
        self.is_view = len(self.own_M) == places and bool((self.rows_SL.flatten() == torch.arange(places)).all())

    def attend(self, q: Tensor, k: Tensor, v: Tensor, scoring: Scoring) -> Tensor:
        """Causal attention; returns [S * L, H, E]."""
        S, L = self.rows_SL.shape
        q, k, v = (x.reshape(S, L, *x.shape[-2:]).transpose(1, 2) for x in (q, k, v))
        return _causal(q, k, v, scoring).transpose(1, 2).flatten(0, 1)


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
        parts.append(_masked(q_SHLE[:, :, queries], k_SKLE[:, :, keys], v_SKLE[:, :, keys], mask, scoring))
    return torch.cat(parts, dim=2)


def _masked(q_SHLE: Tensor, k_SKCE: Tensor, v_SKCE: Tensor, mask: Tensor, scoring: Scoring) -> Tensor:
    """Attention where the mask, broadcast to [S, H, L, C], is True."""
    share = q_SHLE.shape[1] // k_SKCE.shape[1]
    if scoring.cap is None:
        return scaled_dot_product_attention(
            q_SHLE, k_SKCE, v_SKCE, attn_mask=mask, scale=scoring.scale, enable_gqa=share > 1
        )
    # No fused kernel caps scores.
    k_SHCE, v_SHCE = k_SKCE.repeat_interleave(share, 1), v_SKCE.repeat_interleave(share, 1)
    scores = q_SHLE @ k_SHCE.mT * (scoring.scale or q_SHLE.shape[-1] ** -0.5)
    scores = scoring.cap * (scores / scoring.cap).tanh()
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v_SHCE


def _of_like_length(spans: Sequence[Span], waste: float = 1.3) -> list[list[Span]]:
    """Groups sequences so that padding costs at most about `waste` times their own attention."""
    groups: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: (-span.whole, span.start)):
        if groups and groups[-1][0].whole ** 2 <= waste * max(span.whole, 16) ** 2:
            groups[-1].append(span)
        else:
            groups.append([span])
    return [sorted(group, key=lambda span: span.start) for group in groups]


class Cache:
    """Keys and values of R sequences that are being generated."""

    def __init__(
        self,
        layers: int,
        rows: int,
        kv_heads: int,
        capacity: int,
        head_width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        """`dtype` and `device` are the model's; the lengths stay on the CPU."""
        shape = (rows, kv_heads, capacity, head_width)
        self.k, self.v = ([torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)] for _ in "kv")
        self.lengths = torch.zeros(rows, dtype=torch.int64)  # tokens held by each row
        self.capacity = capacity

    @staticmethod
    def bytes_per_token(config: ModelConfig) -> int:
        return 2 * 4 * config.layers * config.kv_heads * config.head_width  # keys and values in float32

    def keep(self, rows: Tensor) -> None:
        """Keeps only these rows, in this order (rows may repeat)."""
        there = rows.to(self.k[0].device)
        self.k = [k[there] for k in self.k]
        self.v = [v[there] for v in self.v]
        self.lengths = self.lengths[rows]

    def join(self, other: "Cache") -> None:
        """Appends the rows of another cache; both grow to the larger capacity."""
        self.capacity = max(self.capacity, other.capacity)
        self.k = [
            torch.cat([_grown(k, self.capacity), _grown(o, self.capacity)])
            for k, o in zip(self.k, other.k, strict=True)
        ]
        self.v = [
            torch.cat([_grown(v, self.capacity), _grown(o, self.capacity)])
            for v, o in zip(self.v, other.v, strict=True)
        ]
        self.lengths = torch.cat([self.lengths, other.lengths])


def _grown(x_RKCE: Tensor, capacity: int) -> Tensor:
    missing = capacity - x_RKCE.shape[2]
    return torch.nn.functional.pad(x_RKCE, (0, 0, 0, missing)) if missing else x_RKCE


class Prefill(Packed):
    """Reads whole prompts, one a cache row, and leaves their keys and values in the cache."""

    def __init__(self, cache: Cache, lengths: Sequence[int], rows: Tensor | None = None):
        super().__init__(end_to_end(lengths))
        rows = torch.arange(len(lengths)) if rows is None else rows
        self._cache = cache
        self._row_N = torch.repeat_interleave(rows, torch.tensor(lengths))
        cache.lengths[rows] = torch.tensor(lengths)

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        self._cache.k[layer][self._row_N, :, self.positions] = k_NKE
        self._cache.v[layer][self._row_N, :, self.positions] = v_NKE
        return super().__call__(layer, q_NHE, k_NKE, v_NKE, scoring)


class Decode(Attention):
    """One new token for each cache row."""

    def __init__(self, cache: Cache):
        self._cache = cache
        self.positions = cache.lengths.clone()
        self.lengths = self.positions + 1
        self._row = torch.arange(len(cache.lengths))
        self._seen = int(self.positions.max()) + 1
        self._age_RC = self.positions[:, None] - torch.arange(self._seen)  # negative: not written yet
        self._masks: dict[int | None, Tensor] = {}
        cache.lengths += 1

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        k_RKCE, v_RKCE = self._cache.k[layer], self._cache.v[layer]
        k_RKCE[self._row, :, self.positions] = k_NKE
        v_RKCE[self._row, :, self.positions] = v_NKE
        R, H, E = q_NHE.shape
        K = k_NKE.shape[1]
        # Query heads that share a key head become query rows: no copy of the cache for grouped attention.
        out = _masked(
            q_NHE.view(R, K, H // K, E),
            k_RKCE[:, :, : self._seen],
            v_RKCE[:, :, : self._seen],
            self._mask(scoring.window),
            scoring,
        )
        return out.reshape(R, H, E)

    def _mask(self, window: int | None) -> Tensor:
        """[R, 1, 1, C], made once for all layers that see as far."""
        if window not in self._masks:
            mask_RC = (self._age_RC >= 0) & (self._age_RC < (window or self._seen))
            self._masks[window] = mask_RC[:, None, None, :]
        return self._masks[window]
