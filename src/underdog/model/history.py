"""What a model has read of one sequence: its ids with their keys and values, in float32 or in 8 bits.

Shapes: N new tokens, K key/value heads, E head width, C tokens, B blocks of a head, b numbers in one.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from underdog.model.config import ModelConfig

BLOCK = 32  # numbers that share a scale, as in llama.cpp's Q8_0


class History:
    """The ids of one sequence, and of each layer the keys and values."""

    def __init__(self, config: ModelConfig, int8: bool = False):
        self.ids: list[int] = []
        self._most = config.context
        store = _Int8 if int8 else _Floats
        heads = config.kv_heads, config.head_width
        self.k, self.v = ([store(*heads) for _ in range(config.layers)] for _ in "kv")

    @staticmethod
    def bytes_per_token(config: ModelConfig, int8: bool = False) -> int:
        a_head = 4 * config.head_width
        if int8:
            a_head = config.head_width + 2 * config.head_width // math.gcd(config.head_width, BLOCK)
        return 2 * config.layers * config.kv_heads * a_head

    @property
    def room(self) -> int:
        return self.k[0].room

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for store in (*self.k, *self.v) for part in store.parts)

    def shared(self, ids: list[int]) -> int:
        """How many tokens both begin with."""
        most = min(len(self.ids), len(ids))
        if self.ids[:most] == ids[:most]:
            return most
        return next(i for i, (mine, its) in enumerate(zip(self.ids, ids, strict=False)) if mine != its)

    def keep(self, tokens: int) -> None:
        """Forgets all but the first tokens."""
        del self.ids[tokens:]

    def copy(self, other: "History", tokens: int) -> None:
        """Takes over what the other one holds of its first tokens."""
        self.make_room(tokens)
        for mine, its in zip((*self.k, *self.v), (*other.k, *other.v), strict=True):
            mine.copy(its, tokens)
        self.ids = other.ids[:tokens]

    def make_room(self, tokens: int) -> None:
        """Grows by doubling, so that a long answer copies what it holds only a few times."""
        if self.room < tokens:
            room = max(tokens, min(2 * self.room, self._most))
            for store in (*self.k, *self.v):
                store.grow(room)


class _Store:
    """Keys or values of one layer: tensors [K, C, ...] that grow together."""

    parts: list[Tensor]

    @property
    def room(self) -> int:
        return self.parts[0].shape[1]

    def grow(self, room: int) -> None:
        self.parts = [pad(part, (*(0, 0) * (part.ndim - 2), 0, room - self.room)) for part in self.parts]

    def copy(self, other: "_Store", tokens: int) -> None:
        for mine, its in zip(self.parts, other.parts, strict=True):
            mine[:, :tokens] = its[:, :tokens]


class _Floats(_Store):
    def __init__(self, kv_heads: int, head_width: int):
        self.parts = [torch.zeros(kv_heads, 0, head_width)]

    def write(self, start: int, x_NKE: Tensor) -> None:
        self.parts[0][:, start : start + len(x_NKE)] = x_NKE.transpose(0, 1)

    def read(self, start: int, stop: int) -> Tensor:
        """[K, C, E]"""
        return self.parts[0][:, start:stop]


class _Int8(_Store):
    """Whole numbers between -127 and 127, and a scale in float16 for each block of a head."""

    def __init__(self, kv_heads: int, head_width: int):
        self._block = math.gcd(head_width, BLOCK)
        blocks = head_width // self._block
        self.parts = [
            torch.zeros(kv_heads, 0, blocks, self._block, dtype=torch.int8),
            torch.zeros(kv_heads, 0, blocks, 1, dtype=torch.float16),
        ]

    def write(self, start: int, x_NKE: Tensor) -> None:
        x_KNBb = x_NKE.transpose(0, 1).unflatten(-1, (-1, self._block)).float()
        scale_KNB1 = (x_KNBb.abs().amax(-1, keepdim=True) / 127).half()
        whole = (x_KNBb / scale_KNB1.float().clamp_min(1e-7)).round().clamp(-127, 127)
        here = slice(start, start + len(x_NKE))
        self.parts[0][:, here], self.parts[1][:, here] = whole.to(torch.int8), scale_KNB1

    def read(self, start: int, stop: int) -> Tensor:
        """[K, C, E] in float32"""
        whole, scale = (part[:, start:stop] for part in self.parts)
        return (whole.float() * scale.float()).flatten(-2)
