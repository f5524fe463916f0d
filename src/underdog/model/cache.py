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
    """Keys and values of some sequences, a tensor a layer."""

    k_RKCE: list[Tensor]
    v_RKCE: list[Tensor]
    lengths: Tensor  # [R] int64, on the CPU: tokens that each sequence holds

    @classmethod
    def empty(cls, config: ModelConfig, rows: int, capacity: int, dtype: torch.dtype, device: torch.device | str):
        K, E = config.kv_heads, config.head_width
        # Zeros: what has not been written is masked, and a masked NaN would still be one.
        shape = rows, K, capacity, E
        k, v = ([torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.layers)] for _ in "kv")
        return cls(k, v, torch.zeros(rows, dtype=torch.int64))

    def write(self, layer: int, rows: Where, places: Where, k_NKE: Tensor, v_NKE: Tensor) -> None:
        self.k_RKCE[layer][rows, :, places] = k_NKE
        self.v_RKCE[layer][rows, :, places] = v_NKE

    def first(self, tokens: int, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the first tokens of each sequence."""
        return self.k_RKCE[layer][:, :, :tokens], self.v_RKCE[layer][:, :, :tokens]

    def keep(self, rows: Tensor) -> None:
        there = rows.to(self.k_RKCE[0].device)
        self.k_RKCE = [k[there] for k in self.k_RKCE]
        self.v_RKCE = [v[there] for v in self.v_RKCE]
        self.lengths = self.lengths[rows]

    def join(self, other: "_Held") -> None:
        self.k_RKCE = [_stacked(mine, its) for mine, its in zip(self.k_RKCE, other.k_RKCE, strict=True)]
        self.v_RKCE = [_stacked(mine, its) for mine, its in zip(self.v_RKCE, other.v_RKCE, strict=True)]
        self.lengths = torch.cat([self.lengths, other.lengths])


def _stacked(x_RKCE: Tensor, y_RKCE: Tensor) -> Tensor:
    """Rows of both; the one with fewer places for tokens gets more."""
    capacity = max(x_RKCE.shape[2], y_RKCE.shape[2])
    return torch.cat([torch.nn.functional.pad(one, (0, 0, 0, capacity - one.shape[2])) for one in (x_RKCE, y_RKCE)])


class Cache:
    """Keys and values of R answers that are being generated, and of the prompts that they go on from.

    Several answers to a prompt share one copy of it: reading its keys over again for each would be most of what a step
    reads. A single answer has its prompt before it: one product is less work than two.
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
        P, longest = len(prompts), max(prompts)
        shared = answers > 1
        self.prompts = _Held.empty(config, P, longest if shared else 0, dtype, device)
        self.answers = _Held.empty(config, P * answers, room if shared else longest + room, dtype, device)
        self.read_into = self.prompts if shared else self.answers
        self.read_into.lengths = torch.tensor(prompts)
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
        self._held = cache.read_into
        lengths = self._held.lengths
        super().__init__(end_to_end(lengths.tolist()))
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
        self._prompt_R, self._step_R = cache.prompts.lengths[cache.prompt_R], cache.answers.lengths.clone()
        self._longest, self._seen = int(self._prompt_R.max()), int(self._step_R.max()) + 1
        self._by_prompt = _ByPrompt(cache.prompt_R, len(cache.prompts.lengths)) if self._longest else None
        in_step = bool((self._step_R == self._seen - 1).all())
        self._all_written = in_step and bool((self._prompt_R == self._longest).all())
        self._new: tuple[Where, Where] = torch.arange(len(self._step_R)), self._step_R
        if in_step:
            self._new = slice(None), self._seen - 1  # no need to find each row its place
        self._masks: dict[int | None, Tensor | None] = {}
        cache.answers.lengths += 1

    def __call__(self, layer: int, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, scoring: Scoring = PLAIN) -> Tensor:
        R, H, E = q_NHE.shape
        K = k_NKE.shape[1]
        self._answers.write(layer, *self._new, k_NKE, v_NKE)
        k_RKCE, v_RKCE = self._answers.first(self._seen, layer)

        q_RKGE = q_NHE.view(R, K, H // K, E) * (scoring.scale or E**-0.5)
        scores_RKGC = q_RKGE @ k_RKCE.mT
        if self._by_prompt is None:
            out_RKGE = self._softmax(scores_RKGC, scoring) @ v_RKCE
        else:
            k_PKCE, v_PKCE = self._prompts.first(self._longest, layer)
            scores_RKGC = torch.cat([self._by_prompt.matmul(q_RKGE, k_PKCE.mT), scores_RKGC], dim=-1)
            on_prompt, on_own = self._softmax(scores_RKGC, scoring).split([self._longest, self._seen], dim=-1)
            out_RKGE = self._by_prompt.matmul(on_prompt, v_PKCE) + on_own @ v_RKCE
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
            self._masks[window] = None if window is None and self._all_written else self._hidden(window)
        return self._masks[window]

    def _hidden(self, window: int | None) -> Tensor | None:
        """Of the keys that each row is given, its prompt's before its own."""
        length_R1, steps_C, own_C = self._prompt_R[:, None], torch.arange(self._longest), torch.arange(self._seen)
        written_RC = torch.cat([steps_C < length_R1, own_C <= self._step_R[:, None]], dim=1)
        hidden_RC = ~written_RC
        if window:
            place_RC = torch.cat([steps_C.expand(len(length_R1), -1), length_R1 + own_C], dim=1)
            hidden_RC |= self.positions.cpu()[:, None] - place_RC >= window
        return hidden_RC[:, None, None] if hidden_RC.any() else None


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
