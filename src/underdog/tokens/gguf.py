"""The tokenizer inside a GGUF file, for files whose checkpoint is not at hand."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers

from underdog.errors import UserError, extra
from underdog.tokens.folder import Beside
from underdog.tokens.tokenizer import Tokenizer

CONTROL, USER_DEFINED = 3, 4  # of `tokenizer.ggml.token_type`
SPACE = "\u2581"  # what SentencePiece writes for one
NAMED = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}
COPY = "Copy it anew."


def read_gguf_tokenizer(path: Path, reader: Any = None) -> Tokenizer:
    """A SentencePiece vocabulary of byte-pair merges with bytes to fall back on ("llama" in the file: Llama 2, Gemma).

    The file has no merges, only the order of the tokens: two neighbours merge if their concatenation is a token, the
    one of the best score first.

    Args:
        reader: the file, where it is open already: opening takes a while.

    Raises:
        UserError: this is no GGUF file, or its tokenizer is of another kind.
    """
    reader = reader or open_gguf(path)
    model = _said(reader, "model", path)
    if model != "llama" or _said(reader, "add_space_prefix", path, True):
        raise UserError(
            f'{path}: its tokenizer (kind "{model}") is not read.',
            hint="Use the checkpoint folder that the file was made from.",
        )
    tokens, scores, types = (_said(reader, name, path) for name in ("tokens", "scores", "token_type"))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    named = {}
    for short, name in NAMED.items():
        index = _said(reader, f"{short}_token_id", path, -1)
        if index >= 0:
            named[name] = tokens[index]
    merges = _merges(vocabulary, scores, types)
    unknown = named.get("unk_token")
    core = tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Replace(" ", SPACE)
    core.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    for kind, add in ((CONTROL, core.add_special_tokens), (USER_DEFINED, core.add_tokens)):
        add([AddedToken(token, normalized=False) for token, of in zip(tokens, types, strict=True) if of == kind])
    template = reader.get_field("tokenizer.chat_template")
    return Tokenizer(core, Beside({"default": template.contents()} if template else {}, named))


def open_gguf(path: Path) -> Any:
    """Raises UserError: this is no GGUF file, or it is damaged."""
    gguf = library()

    class Reader(gguf.GGUFReader):
        """Slices a plain array: those of a memory map cost ten times as much, and there are three for each token."""

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, np.asarray(value) if name == "data" else value)

    try:
        return Reader(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except UserError:
        raise
    except Exception as problem:  # the library parses as it goes, and fails in any way
        raise UserError(f"{path} is not a whole GGUF file: {problem}.", hint=COPY) from None


def library() -> ModuleType:
    try:
        import gguf
    except ImportError as error:
        raise UserError(
            "GGUF files need the gguf library, which is not installed.",
            hint='pip install "underdog[gguf]", or set export.formats = [].',
        ) from error
    return gguf


def check_installed(kinds: Sequence[str]) -> None:
    """Raises UserError: a library is missing that files of these kinds need."""
    library()
    with extra("cpu", "q4_k_m"):
        if "q4_k_m" in kinds and find_spec("xllamacpp") is None:
            raise ModuleNotFoundError(name="xllamacpp")


def _merges(vocabulary: dict[str, int], scores: list[float], types: list[int]) -> list[tuple[str, str]]:
    """Pairs whose concatenation is a token, best first."""
    found = []
    for token, index in vocabulary.items():
        if types[index] == CONTROL:
            continue
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocabulary and right in vocabulary:
                found.append((-scores[index], vocabulary[left], vocabulary[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]


def _said(reader: Any, key: str, path: Path, default: Any = None) -> Any:
    field = reader.get_field(f"tokenizer.ggml.{key}")
    if field is None and default is None:
        raise UserError(f"{path} does not say tokenizer.ggml.{key}.", hint=COPY)
    return default if field is None else field.contents()
