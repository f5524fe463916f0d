"""A batch of texts, as the kernels see it: bytes, and where each text begins."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Texts = pa.Array | Sequence[str]


def buffers(texts: Texts) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each text begins and ends in the bytes of all, and the bytes. Copies nothing that is a large_string."""
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    if array.null_count:
        array = array.fill_null("")
    array = array.cast(pa.large_string())
    if not len(array):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, places, data = array.buffers()
    offsets = np.frombuffer(places, np.int64)[array.offset : array.offset + len(array) + 1]
    return offsets, np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
