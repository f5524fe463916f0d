"""Checkpoints are plain Hugging Face folders: config.json, model.safetensors, tokenizer, generation_config.json."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from underdog.artifacts.files import read_json, write_json
from underdog.errors import UserError
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.tokens.tokenizer import Tokenizer

AGAIN = "Copy config.json and model.safetensors anew, both from the same checkpoint."


def save_pretrained(model: Decoder, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes a folder that transformers, vLLM and this project read alike."""
    folder.mkdir(parents=True, exist_ok=True)
    special = tokenizer.special_ids()
    write_json(folder / "config.json", model.config.to_hf(special))
    write_json(folder / "generation_config.json", {**special, "do_sample": True, "temperature": 1.0})
    tokenizer.save(folder, model.config.context)
    weights = {name: value.detach().contiguous() for name, value in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load_pretrained(folder: Path) -> Decoder:
    """Reads config.json and model.safetensors.

    Raises:
        UserError: the folder is not a checkpoint, is of a family that the decoder lacks, or does not match its
            own config.
    """
    config = ModelConfig.from_hf(read_json(folder / "config.json"), str(folder / "config.json"))
    path = folder / "model.safetensors"
    if not path.exists():
        raise UserError(f"{folder} has no model.safetensors.", hint="Sharded and pickled weights are not read yet.")
    try:
        weights = load_file(path)
    except (SafetensorError, json.JSONDecodeError) as problem:
        raise UserError(f"{path} is not a safetensors file: {problem}.", hint=AGAIN) from None
    with torch.device("meta"):
        model = Decoder(config)
    wanted = {name: weight.shape for name, weight in model.named_parameters()}
    weights = {name: value.float() for name, value in weights.items() if name in wanted or name != "lm_head.weight"}
    _check(wanted, weights, path)
    model.load_state_dict(weights, strict=False, assign=True)
    if config.tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model


def _check(wanted: dict[str, torch.Size], found: dict[str, torch.Tensor], path: Path) -> None:
    """Names the first weight that is missing, foreign or of another shape."""
    for name in wanted:
        if name not in found:
            raise UserError(f"{path} lacks the weight {name} that its config.json calls for.", hint=AGAIN)
        if found[name].shape != wanted[name]:
            raise UserError(
                f"{path}: {name} has shape {tuple(found[name].shape)}; config.json calls for {tuple(wanted[name])}.",
                hint=AGAIN,
            )
    if extra := sorted(found.keys() - wanted.keys()):
        raise UserError(
            f"{path} holds weights that this decoder does not have: {', '.join(extra[:3])}.",
            hint="Merge adapters and undo quantisation first; of models, only plain Llama and Qwen3 layouts are read.",
        )
