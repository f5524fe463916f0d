"""Checkpoints are plain Hugging Face folders: config.json, safetensors in one file or in shards, tokenizer,
generation_config.json."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from underdog.artifacts.files import read_json, write_json
from underdog.errors import UserError
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.tokens.tokenizer import Tokenizer

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"  # which shard holds which weight
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
SHARD_BYTES = 5 * 10**9
AGAIN = "Copy config.json and the safetensors files anew, all from the same checkpoint."


def save_pretrained(model: Decoder, tokenizer: Tokenizer, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes a folder that transformers, vLLM and this project read alike; weights in files of at most `shard_bytes`
    (a larger weight stands alone)."""
    folder.mkdir(parents=True, exist_ok=True)
    special = tokenizer.special_ids()
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    write_json(folder / "config.json", model.config.to_hf(special, dtype))
    write_json(folder / "generation_config.json", {**special, "do_sample": True, "temperature": 1.0})
    tokenizer.save(folder, model.config.context)
    weights = {name: value.detach() for name, value in model.named_parameters()}
    shards = _shards(weights, shard_bytes)
    for file, names in shards.items():
        part = {name: weights[name].contiguous() for name in names}
        save_file(part, folder / file, metadata={"format": "pt"})
    if len(shards) > 1:
        total = sum(weight.nbytes for weight in weights.values())
        places = {name: file for file, names in shards.items() for name in names}
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})
    kept = {*shards, INDEX} if len(shards) > 1 else {WHOLE}
    for stale in {*folder.glob("model*.safetensors"), *folder.glob(INDEX)}:
        if stale.name not in kept:
            stale.unlink()


def untie(folder: Path) -> None:
    """Makes of a checkpoint whose head is its embedding the same model with a head of its own, in place."""
    config = read_json(folder / "config.json")
    if not config.get("tie_word_embeddings"):
        return
    found, listed = _contents(folder)
    shard = found[EMBEDDING].path
    weights = load_file(shard)
    save_file({**weights, HEAD: weights[EMBEDDING].clone()}, shard, metadata={"format": "pt"})
    if listed.name == INDEX:
        index = read_json(listed)
        write_json(listed, {**index, "weight_map": {**index["weight_map"], HEAD: shard.name}})
    write_json(folder / "config.json", {**config, "tie_word_embeddings": False})


def _shards(weights: Mapping[str, Tensor], most: int) -> dict[str, list[str]]:
    """File -> names of the weights in it."""
    parts: list[list[str]] = [[]]
    room = most
    for name, weight in weights.items():
        if parts[-1] and weight.nbytes > room:
            parts.append([])
            room = most
        parts[-1].append(name)
        room -= weight.nbytes
    if len(parts) == 1:
        return {WHOLE: parts[0]}
    return {f"model-{index + 1:05}-of-{len(parts):05}.safetensors": names for index, names in enumerate(parts)}


def load_pretrained(
    folder: Path, dtype: torch.dtype | None = torch.float32, device: torch.device | str = "cpu"
) -> Decoder:
    """Reads config.json and the weights; `dtype` None keeps the one they are stored in.

    Weights are read one after the other: memory grows to the model's own size and one weight more. Names and shapes
    are checked before the first is read.

    Raises:
        UserError: the folder is not a checkpoint, is of a family that the decoder lacks, or does not match its
            own config.
    """
    config = ModelConfig.from_hf(read_json(folder / "config.json"), str(folder / "config.json"))
    with torch.device("meta"):
        model = Decoder(config)
    wanted = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    found, source = _contents(folder)
    _check(wanted, found, source)
    model.load_state_dict({name: found[name].read(name, dtype, device) for name in wanted}, strict=False, assign=True)
    if config.tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model


@dataclass(frozen=True)
class _Stored:
    """A weight on the disk."""

    path: Path
    shape: tuple[int, ...]

    def read(self, name: str, dtype: torch.dtype | None, device: torch.device | str) -> Tensor:
        # Opened anew for each weight: the pages of a mapped file count as this process's until it is closed.
        with safe_open(self.path, "pt") as file:
            stored = file.get_tensor(name)
            return stored.to(device=device, dtype=dtype or stored.dtype, copy=True)


def _contents(folder: Path) -> tuple[dict[str, _Stored], Path]:
    """All weights of a folder, and the file that lists them."""
    if (folder / WHOLE).exists():
        return _headers([folder / WHOLE]), folder / WHOLE
    index = folder / INDEX
    if not index.exists():
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        hint = "Pickled weights are never read: convert them with transformers first." if pickled else AGAIN
        raise UserError(f"{folder} has no {WHOLE} and no {INDEX}.", hint=hint)
    listed = read_json(index, hint=AGAIN)
    places = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise UserError(f"{index} does not say which shard holds which weight.", hint=AGAIN)
    shards = [folder / Path(name).name for name in sorted(set(places.values()))]
    for path in shards:
        if not path.exists():
            raise UserError(f"{path} is missing; {INDEX} lists {len(shards)} shards.", hint=AGAIN)
    return _headers(shards), index


def _headers(paths: Iterable[Path]) -> dict[str, _Stored]:
    found: dict[str, _Stored] = {}
    for path in paths:
        try:
            with safe_open(path, "pt") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in list(file.keys())}
        except (SafetensorError, OSError, ValueError) as problem:
            raise UserError(f"{path} is not a safetensors file: {problem}.", hint=AGAIN) from None
        found |= {name: _Stored(path, shape) for name, shape in shapes.items()}
    return found


def _check(wanted: Mapping[str, tuple[int, ...]], found: dict[str, _Stored], source: Path) -> None:
    """Names the first weight that is missing, foreign or of another shape."""
    for name, shape in wanted.items():
        if name not in found:
            raise UserError(f"{source} lacks the weight {name} that its config.json calls for.", hint=AGAIN)
        if found[name].shape != shape:
            vocabulary = name in (EMBEDDING, HEAD) and found[name].shape[1:] == shape[1:]
            raise UserError(
                f"{found[name].path}: {name} has shape {found[name].shape}; config.json calls for {shape}.",
                hint=f"{found[name].shape[0]} tokens is another vocabulary: {AGAIN}" if vocabulary else AGAIN,
            )
    if extra := sorted(name for name in found.keys() - wanted.keys() if not _spare(name)):
        raise UserError(
            f"{source} holds weights that this decoder does not have: {', '.join(extra[:3])}.",
            hint="Merge adapters and undo quantisation first; of models that also see or hear, take the text part.",
        )


def _spare(name: str) -> bool:
    """A copy of the embedding where the head is tied to it, or angles that old files store and config.json gives."""
    return name == HEAD or name.endswith("rotary_emb.inv_freq")
