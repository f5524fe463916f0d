"""What generation remembers: the keys and values of prompts and of the answers that go on from them.

Shapes: P prompts, R answers (rows), H heads, K key/value heads, G = H / K query heads to each of those, E head width,
C tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from underdog.model.attention import PLAIN, Attention, Packed, end_to_end
from underdog.model.config import ModelConfig, Scoring

Where = Tensor | slice | int


@dataclass
class _Held:
    """Keys and values of some sequences, a tensor a layer. Keys lie as the product with queries reads them."""

    k_RKEC: list[Tensor]
    v_RKCE: list[Tensor]
    lengths: Tensor  # [R] int64, on the CPU: tokens that each sequence holds

    @classmethod
    def empty(cls, config: ModelConfig, rows: int, capacity: int, dtype: torch.dtype, device: torch.device | str):
        K, E = config.kv_heads, config.head_width
        # Zeros: what has not been written is masked, and a masked NaN would still be one.
        k, v = (
            [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.layers)]
            for shape in ((rows, K, E, capacity), (rows, K, capacity, E))
        )
        return cls(k, v, torch.zeros(rows, dtype=torch.int64))

    def write(self, layer: int, rows: Where, places: Where, k_NKE: Tensor, v_NKE: Tensor) -> None:
        self.k_RKEC[layer][rows, :, :, places] = k_NKE
        self.v_RKCE[layer][rows, :, places] = v_NKE

    def first(self, tokens: int, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the first tokens of each sequence."""
        return self.k_RKEC[layer][..., :tokens], self.v_RKCE[layer][:, :, :tokens]

    def keep(self, rows: Tensor) -> None:
        there = rows.to(self.k_RKEC[0].device)
        self.k_RKEC = [k[there] for k in self.k_RKEC]
        self.v_RKCE = [v[there] for v in self.v_RKCE]
        self.lengths = self.lengths[rows]

    def join(self, other: "_Held") -> None:
        self.k_RKEC = [_stacked(mine, its, -1) for mine, its in zip(self.k_RKEC, other.k_RKEC, strict=True)]
        self.v_RKCE = [_stacked(mine, its, -2) for mine, its in zip(self.v_RKCE, other.v_RKCE, strict=True)]
        self.lengths = torch.cat([self.lengths, other.lengths])


def _stacked(x: Tensor, y: Tensor, tokens: int) -> Tensor:
    """Rows of both; the one with fewer places for tokens gets more."""
    capacity = max(x.shape[tokens], y.shape[tokens])
    pads = (0, 0) * (-1 - tokens)
    return torch.cat([torch.nn.functional.pad(one, (*pads, 0, capacity - one.shape[tokens])) for one in (x, y)])


class Cache:
    """Keys and values of R answers that are being generated, and one copy of each prompt that they go on from.

    With many answers to a prompt, reading its keys over again for each would be most of what a step reads.
    """

    def __init__(
        self,
        config: ModelConfig,
        prompts: Sequence[int],
        room: int,
        answers: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        """Room for prompts of these lengths and, to each, `answers` answers of up to `room` tokens.

        `dtype` and `device` are the model's.
        """
        P = len(prompts)
        self.prompts = _Held.empty(config, P, max(prompts), dtype, device)
        self.prompts.lengths = torch.tensor(prompts)
        self.answers = _Held.empty(config, P * answers, room, dtype, device)
        self.prompt_R = torch.arange(P).repeat_interleave(answers)  # which one a row answers, in ascending order

    @staticmethod
    def bytes_per_token(config: ModelConfig) -> int:
        return 2 * 4 * config.layers * config.kv_heads * config.head_width  # keys and values in float32

    @property
    def lengths(self) -> Tensor:
        """[R]: tokens of each row, its prompt's included."""
        return self.prompts.lengths[self.prompt_R] + self.answers.lengths

    def keep(self, rows: Tensor) -> None:
        """Keeps only these rows, in this order, which is that of their prompts; and the prompts that they need."""
        self.answers.keep(rows)
        needed, self.prompt_R = self.prompt_R[rows].unique_consecutive(return_inverse=True)
        if len(needed) < len(self.prompts.lengths):
            self.prompts.keep(needed)

    def join(self, other: "Cache") -> None:
        """Appends the rows of another cache."""
        self.prompt_R = torch.cat([self.prompt_R, other.prompt_R + len(self.prompts.lengths)])
        self.prompts.join(other.prompts)
        self.answers.join(other.answers)


class Prefill(Packed):
    """Reads the prompts of a fresh cache, laid end to end, and leaves their keys and values in it."""

    def __init__(self, cache: Cache):
        lengths = cache.prompts.lengths
        super().__init__(end_to_end(lengths.tolist()))
        self._held = cache.prompts
        self._row_N = torch.repeat_interleave(torch.arange(len(lengths)), lengths)

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        self._held.write(layer, self._row_N, self.positions, k_NKE, v_NKE)
        return super().__call__(layer, q_NHE, k_NKE, v_NKE, scoring)


class Decode(Attention):
    """One new token for each row of a cache.

    Plain products rather than the fused kernel: for one query at a time its set-up costs more than it saves.
    """

    def __init__(self, cache: Cache):
        self.positions = cache.lengths
        self.lengths = self.positions + 1
        self._prompts, self._answers = cache.prompts, cache.answers
        self._by_prompt = _ByPrompt(cache.prompt_R, len(cache.prompts.lengths))
        self._step_R = cache.answers.lengths.clone()
        self._new: tuple[Where, Where] = torch.arange(len(self._step_R)), self._step_R
        if (self._step_R == self._step_R[0]).all():
            self._new = slice(None), int(self._step_R[0])  # answers that keep step: no need to find each its place
        self._longest, self._seen = int(cache.prompts.lengths.max()), int(self._step_R.max()) + 1
        self._place_RC, self._written_RC = self._places(cache)
        self._masks: dict[int | None, Tensor | None] = {}
        cache.answers.lengths += 1

    def _places(self, cache: Cache) -> tuple[Tensor, Tensor]:
        """Of the keys that each row is given, its prompt's before its own: their positions, and whether they are
        there at all."""
        length_R1 = cache.prompts.lengths[cache.prompt_R][:, None]
        steps_C, own_C = torch.arange(self._longest), torch.arange(self._seen)
        rows = len(length_R1)
        place_RC = torch.cat([steps_C.expand(rows, -1), length_R1 + own_C], dim=1)
        written_RC = torch.cat([steps_C < length_R1, own_C <= self._step_R[:, None]], dim=1)
        return place_RC, written_RC

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        R, H, E = q_NHE.shape
        K = k_NKE.shape[1]
        self._answers.write(layer, *self._new, k_NKE, v_NKE)
        there, own = self._prompts.first(self._longest, layer), self._answers.first(self._seen, layer)

        q_RKGE = q_NHE.view(R, K, H // K, E) * (scoring.scale or E**-0.5)
        scores_RKGC = torch.cat([self._by_prompt.matmul(q_RKGE, there[0]), q_RKGE @ own[0]], dim=-1)
        weights_RKGC = self._softmax(scores_RKGC, scoring)
        on_prompt, on_own = weights_RKGC.split([self._longest, self._seen], dim=-1)
        out_RKGE = self._by_prompt.matmul(on_prompt, there[1]) + on_own @ own[1]
        return out_RKGE.reshape(R, H, E)

    def _softmax(self, scores_RKGC: Tensor, scoring: Scoring) -> Tensor:
        if scoring.cap is not None:
            scores_RKGC = scoring.cap * (scores_RKGC / scoring.cap).tanh()
        mask = self._mask(scoring.window)
        if mask is not None:
            scores_RKGC = scores_RKGC.masked_fill_(mask.to(scores_RKGC.device), float("-inf"))
        return scores_RKGC.softmax(-1, dtype=torch.float32).to(scores_RKGC.dtype)

    def _mask(self, window: int | None) -> Tensor | None:
        """[R, 1, 1, C], True where a row must not look; None where it may look everywhere. Once for all layers."""
        if window not in self._masks:
            hidden_RC = ~self._written_RC
            if window:
                hidden_RC |= self.positions.cpu()[:, None] - self._place_RC >= window
            self._masks[window] = hidden_RC[:, None, None] if hidden_RC.any() else None
        return self._masks[window]


class _ByPrompt:
    """Products of each row with what belongs to its prompt: the rows of a prompt become rows of one matrix."""

    def __init__(self, prompt_R: Tensor, prompts: int):
        counts_P = prompt_R.bincount(minlength=prompts)
        self._shape = prompts, int(counts_P.max())
        within_R = torch.arange(len(prompt_R)) - (counts_P.cumsum(0) - counts_P)[prompt_R]
        self._place_R = prompt_R * self._shape[1] + within_R
        self._full = len(prompt_R) == prompts * self._shape[1]

    def matmul(self, x_RKGX: Tensor, y_PKXY: Tensor) -> Tensor:
        """[R, K, G, Y]."""
        _, K, G, X = x_RKGX.shape
        P, A = self._shape
        if not self._full:  # a place in a grid for each row; the others are computed in vain
            grid = x_RKGX.new_zeros(P * A, K, G, X)
            x_RKGX = grid.index_copy_(0, self._place_R.to(grid.device), x_RKGX)
        together = x_RKGX.view(P, A, K, G, X).transpose(1, 2).reshape(P, K, A * G, X)
        out = (together @ y_PKXY).view(P, K, A, G, -1).transpose(1, 2).reshape(P * A, K, G, -1)
        return out if self._full else out[self._place_R.to(out.device)]
