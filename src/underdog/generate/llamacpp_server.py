"""One model in llama.cpp's server, in this process, through xllamacpp.

xllamacpp gives completions and embeddings in-process. Token ids, templates and the model's figures it gives only at its
own HTTP address, on this machine's loopback, which is locked with a key that nobody else knows.
"""

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from underdog.errors import UserError, extra
from underdog.generate.interface import CacheKind
from underdog.lanes import cores

PIECE = 128
"""Prompt tokens read at once. Between two pieces others draw their next tokens, and who has left is noticed; larger
pieces are not read faster (docs/notebook.md)."""
SPARE = 2**30  # bytes that prompts of earlier conversations may take beside the cache
_SILENT = -1  # its log


class LocalServer:
    """Answers have the shapes of llama.cpp's own HTTP endpoints."""

    def __init__(
        self,
        path: Path,
        context: int,
        answers: int,
        threads: int | None = None,
        cache: CacheKind = "full",
        embedding: bool = False,
    ):
        """`embedding`: it embeds; else it generates. llama.cpp's own do either.

        Raises:
            UserError: llama.cpp cannot read the file.
        """
        lib = library()
        params = lib.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel = context * (1 if embedding else answers), answers
        params.kv_unified = True
        params.fit_params = False  # it would read the vocabulary twice, and might change what was asked for
        params.embedding = embedding
        if embedding:  # its weights are mapped: the generating one has them too
            params.pooling_type = lib.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
            params.n_batch = params.n_ubatch = context  # a text is read in one pass, or not at all
        else:  # mapped, the file's pages would stay beside the copy that is rearranged for this CPU
            params.load_mode = lib.llama_load_mode.LLAMA_LOAD_MODE_NONE
            params.n_batch = params.n_ubatch = PIECE
        params.cache_ram_mib = SPARE // 2**20
        if cache == "int8":
            params.cache_type_k = params.cache_type_v = lib.ggml_type.GGML_TYPE_Q8_0
            params.flash_attn_type = lib.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or _threads()
        params.cpuparams.poll = params.cpuparams_batch.poll = 0
        self._key = secrets.token_hex(16)
        params.api_keys, params.warmup, params.verbosity = [self._key], False, _SILENT
        try:
            self._server = lib.Server(params)
        except RuntimeError as problem:
            raise UserError(f"llama.cpp cannot load {path}: {problem}.") from None

    def complete(self, body: dict[str, Any], tell: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """A completion; as it is drawn where somebody is to be told, who ends it by returning True."""
        return _checked(self._server.handle_completions(body, *([tell] if tell else [])) or {})

    def embed(self, ids: Sequence[int]) -> list[float]:
        return _checked(self._server.handle_embeddings({"input": list(ids)}))["data"][0]["embedding"]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What it answers at its address.

        Raises:
            UserError: it refuses.
        """
        import json
        import urllib.request

        request = urllib.request.Request(
            self._server.listening_address + path,
            json.dumps(body).encode() if body is not None else None,
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.request.HTTPError as problem:
            said = json.load(problem).get("error", {}).get("message", str(problem))
            raise UserError(f"llama.cpp refuses: {said}") from None


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise RuntimeError(f"llama.cpp: {answer['error']}")
    return answer


def _threads() -> int:
    """As many as OMP_NUM_THREADS says: on a busy machine they wait for each other at every operation."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) else cores()


def library() -> ModuleType:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait by spinning starve a busy machine
    with extra("cpu", "Running GGUF files"):
        import xllamacpp
    return xllamacpp
