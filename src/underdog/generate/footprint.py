"""What a model will take of the memory, said before it is loaded."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from underdog.errors import UserError
from underdog.generate.interface import CacheKind

GB = 1e9
_PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}  # GGUF's types
_STRING, _ARRAY = 8, 9
_NEEDED = {"attention.head_count", "block_count", "context_length", "embedding_length"}


@dataclass(frozen=True)
class Footprint:
    """Bytes. The cache counts as full, with as many answers at once as the engine draws."""

    weights: int
    a_token: int  # keys and values
    context: int  # tokens of one answer
    answers: int

    @property
    def whole(self) -> int:
        return self.weights + self.a_token * self.context * self.answers

    def __str__(self) -> str:
        cache = self.a_token * self.context * self.answers
        return (
            f"{self.weights / GB:.2f} GB of weights; {self.answers} × {self.context:,} tokens of cache, "
            f"{self.a_token:,} bytes each: {cache / GB:.2f} GB when full"
        )

    def check(self) -> None:
        """Raises UserError: there is no room for the weights and one whole answer."""
        free, least = free_memory(), self.weights + self.a_token * self.context
        if free is not None and least > free:
            raise UserError(
                f"The model needs {least / GB:.1f} GB: {self.weights / GB:.1f} GB for its weights and the rest for "
                f"{self.context:,} tokens of context. {free / GB:.1f} GB are free.",
                hint="--context takes fewer tokens, --cache int8 fewer bytes for each.",
            )


def free_memory() -> int | None:
    """Bytes that programs can still have, on this machine and in this container; None where the system does not say."""
    known = [free for free in (_free_of_machine(), _free_of_container()) if free is not None]
    return min(known, default=None)


def _free_of_machine() -> int | None:
    return _numbers(Path("/proc/meminfo"), 1024).get("MemAvailable:")


def _free_of_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What its control group (version 2) allows beyond what is held; files that were read can be forgotten."""
    try:
        most, held = ((group / f"memory.{what}").read_text().strip() for what in ("max", "current"))
    except OSError:
        return None
    if most == "max":
        return None
    return int(most) - int(held) + _numbers(group / "memory.stat").get("inactive_file", 0)


def _numbers(path: Path, unit: int = 1) -> dict[str, int]:
    """Lines of a name and a number."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {name: unit * int(number) for name, number, *_ in lines}


def of_folder(folder: Path, context: int | None, answers: int, cache: CacheKind) -> Footprint:
    """Of a checkpoint under the built-in engine, which computes in float32."""
    import torch

    from underdog.artifacts.files import read_json
    from underdog.model.config import ModelConfig
    from underdog.model.decoder import Decoder
    from underdog.model.history import History

    config = ModelConfig.from_hf(read_json(folder / "config.json"), str(folder / "config.json"))
    with torch.device("meta"):
        weights = 4 * Decoder(config).parameter_count()
    return Footprint(weights, History.bytes_per_token(config, cache == "int8"), context or config.context, answers)


def of_gguf(path: Path, context: int, answers: int, cache: CacheKind) -> Footprint:
    """Of a file under llama.cpp. Its cache is an upper bound: layers that see a window only keep less.

    Raises:
        UserError: it is not a GGUF file, or lacks what every one has.
    """
    about = header(path)
    heads, width = about["attention.head_count"], about["embedding_length"]
    layers, kv_heads = about["block_count"], about.get("attention.head_count_kv", heads)
    heads_in_all = sum(kv_heads) if isinstance(kv_heads, list) else layers * kv_heads
    most = max(heads) if isinstance(heads, list) else heads
    a_head = sum(about.get(f"attention.{what}_length", width // most) for what in ("key", "value"))
    bytes_each = 34 / 32 if cache == "int8" else 2  # Q8_0: blocks of 32 with a scale; else float16
    return Footprint(path.stat().st_size, round(heads_in_all * a_head * bytes_each), context, answers)


def header(path: Path) -> Mapping[str, Any]:
    """The fields of a GGUF file's own architecture, without its name before them.

    Raises:
        UserError: it is not a GGUF file, or lacks what every one has.
    """
    try:
        with path.open("rb") as file:
            fields = _fields(file)
        prefix = fields["general.architecture"] + "."
        about = {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}
        if missing := _NEEDED - about.keys():
            raise ValueError(f"it has no {min(missing)}")
    except (struct.error, KeyError, ValueError, TypeError, OverflowError) as problem:
        raise UserError(f"llama.cpp cannot load {path}: its header is damaged ({problem}).") from None
    return about


def _fields(file: BinaryIO) -> dict[str, Any]:
    """Those that stand before the tokenizer's long lists, which are not read."""
    magic, version, _, fields = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version < 2:
        raise ValueError("it is not a GGUF file of version 2 or later")
    found: dict[str, Any] = {}
    for _ in range(fields):
        name = _string(file)
        if name.startswith("tokenizer.") and {known.partition(".")[2] for known in found} >= _NEEDED:
            break
        found[name] = _value(file, *struct.unpack("<I", file.read(4)))
    return found


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    return file.read(length).decode(errors="replace")


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        inner, length = struct.unpack("<IQ", file.read(12))
        return [_value(file, inner) for _ in range(length)]
    form = "<" + _PLAIN[kind]
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]
