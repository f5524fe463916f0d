"""Functions compiled by numba, and kept compiled on disk.

numba's own cache looks at the file of a function and not at what the function calls. Here the folder of the cache is
named by all the kernels' source, so that no stale machine code is ever run.
"""

import functools
import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path

from underdog.errors import extra

with extra("curate", "Judging text"):
    import numba


@functools.cache
def _cache_folder() -> str | None:
    """A folder that can be written, or None: then each process compiles for itself, in some 20 seconds."""
    source = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    name = hashlib.blake2b(source + platform.machine().encode(), digest_size=8).hexdigest()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "underdog" / f"kernels-{name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder) if os.access(folder, os.W_OK) else None


def compiled(function: Callable) -> Callable:
    """Machine code on the first call, without the interpreter's lock. Overflow wraps around, as in C."""
    folder = _cache_folder()
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, folder or ""
    try:
        return numba.njit(function, cache=folder is not None, nogil=True, error_model="numpy")
    finally:
        numba.config.CACHE_DIR = before


def inlined(function: Callable) -> Callable:
    """A short function that becomes part of whatever calls it: its arrays cost no counting of references."""
    return numba.njit(function, inline="always", error_model="numpy")
