"""How each weight of a GGUF file is stored, and llama.cpp's own quantisers.

The gguf library writes blocks of 32 weights. The K formats, whose blocks are of 256, are fitted by ggml's C code, which
xllamacpp carries: it is called as its C header says (ggml.h, `ggml_quantize_chunk`).
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from torch import Tensor

from underdog.errors import extra
from underdog.lanes import cores
from underdog.model.config import ModelConfig
from underdog.tokens.gguf import library

Kind = Literal["f32", "f16", "q8_0", "q4_k_m"]
FALLBACK = {"q4_k": "q5_0", "q6_k": "q8_0", "q5_0": "f16", "q8_0": "f16"}  # where rows are not whole blocks


def storage(kind: Kind, name: str, weight: Tensor, config: ModelConfig) -> tuple[str, bool]:
    """How a weight is stored, and whether that is more than the kind wants because its rows are not whole blocks.

    Norms and biases, which are small and sensitive, stay float32.
    """
    if weight.ndim < 2:
        return "f32", False
    wanted = stored = _in_k_mixture(name, config) if kind == "q4_k_m" else kind
    while weight.shape[-1] % _block(stored):
        stored = FALLBACK[stored]
    return stored, stored != wanted


def quantize(rows: Tensor, stored: str) -> np.ndarray:
    """A matrix [rows, columns] in this storage: bytes [rows, bytes of a row], floats where it is one of floats.

    Raises:
        UserError: xllamacpp is missing, which the K formats need.
    """
    gguf, plain = library(), rows.float().contiguous().numpy()
    type_ = gguf.GGMLQuantizationType[stored.upper()]
    if not stored.endswith("_k"):
        return gguf.quantize(plain, type_)
    chunk, (count, columns) = _ggml_quantize_chunk(), plain.shape
    block, block_bytes = gguf.GGML_QUANT_SIZES[type_]
    out = np.empty((count, columns // block * block_bytes), np.uint8)

    def part(start: int, stop: int) -> None:
        chunk(type_, plain[start:stop].ctypes.data, out[start:stop].ctypes.data, 0, stop - start, columns, None)

    cuts = np.linspace(0, count, cores() + 1, dtype=int).tolist()
    with ThreadPoolExecutor() as pool:  # the C code lets go of Python's lock
        list(pool.map(part, cuts, cuts[1:]))
    return out


def _in_k_mixture(name: str, config: ModelConfig) -> str:
    """llama.cpp's mixture for Q4_K_M (llama-quant.cpp): six bits for the head, and for values and the way back from
    the feed-forward in the first and last eighth of the layers and every third between them."""
    if name.startswith("lm_head") or (config.tied and name.startswith("model.embed_tokens")):
        return "q6_k"
    if ".v_proj." in name or ".down_proj." in name:
        layer, layers = int(name.split(".")[2]), config.layers
        first = layers // 8
        if layer < first or layer >= 7 * layers // 8 or (layer - first) % 3 == 2:
            return "q6_k"
    return "q4_k"


def _block(stored: str) -> int:
    return 1 if stored in ("f32", "f16") else 256 if stored.endswith("_k") else 32


def _ggml_quantize_chunk() -> Any:
    with extra("cpu", "q4_k_m"):
        from xllamacpp import xllamacpp
    chunk = ctypes.CDLL(xllamacpp.__file__).ggml_quantize_chunk
    whole = ctypes.c_int64
    chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, whole, whole, whole, ctypes.c_void_p]
    chunk.restype = ctypes.c_size_t
    return chunk
