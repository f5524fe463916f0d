"""GGUF files read into a decoder, whoever wrote them."""

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from underdog.errors import UserError, did_you_mean
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.model.families import FAMILIES
from underdog.model.gguf import ARCHITECTURES, ROPE_FACTORS, reorder_heads, rotated_heads, tensor_names
from underdog.tokens.gguf import library, open_gguf

GEMMA = FAMILIES["gemma3_text"].defaults


def read_gguf(path: Path, reader: Any = None) -> Decoder:
    """The decoder in a file of one of the `ARCHITECTURES`, its weights as float32 whatever they are stored as.

    The file's tokenizer is read by `tokens.gguf`, as far as it is known.

    Args:
        reader: the file, where it is open already: opening takes a while.

    Raises:
        UserError: this is no GGUF file, it is damaged, or it holds what the decoder lacks.
    """
    gguf = library()
    reader = reader or open_gguf(path)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    config = _read_config(reader, stored, path)
    stored.pop(ROPE_FACTORS, None)
    names = tensor_names(gguf, config)
    with torch.device("meta"):
        model = Decoder(config)
    weights = {}
    for name, weight in model.named_parameters():
        if names[name] not in stored:
            raise UserError(f"{path} lacks the tensor {names[name]}.", hint="Copy it anew.")
        rows = _dequantized(gguf, stored.pop(names[name]), tuple(weight.shape), path)
        if weight.ndim == 1 and config.switches.norm == "rms_offset":
            rows = rows - 1  # the file has what is multiplied by
        weights[name] = reorder_heads(rows, rotated_heads(name, config), "halves")
    if stored:
        raise UserError(f"{path} holds tensors that this decoder lacks: {', '.join(sorted(stored)[:3])}.")
    model.load_state_dict(weights, strict=False, assign=True)
    if config.tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model


def _dequantized(gguf: ModuleType, tensor: Any, shape: tuple[int, ...], path: Path) -> Tensor:
    try:
        rows = torch.tensor(gguf.dequantize(tensor.data, tensor.tensor_type))
    except NotImplementedError:
        raise UserError(
            f"{path}: {tensor.name} is stored as {tensor.tensor_type.name}, which cannot be read."
        ) from None
    if tuple(rows.shape) != shape:
        raise UserError(
            f"{path}: {tensor.name} has shape {tuple(rows.shape)}; the file's own figures call for {shape}."
        )
    return rows


def _read_config(reader: Any, stored: dict[str, Any], path: Path) -> ModelConfig:
    field = reader.get_field("general.architecture")
    name = field.contents() if field else None
    if name not in ARCHITECTURES:
        raise UserError(f'{path}: architecture "{name}" is not read.', hint=did_you_mean(str(name), ARCHITECTURES))

    def figure(key: str, default: Any = None) -> Any:
        found = reader.get_field(f"{name}.{key}")
        if found is None and default is None:
            raise UserError(f"{path} does not say {name}.{key}.", hint="Copy it anew.")
        return default if found is None else found.contents()

    width, heads, context = figure("embedding_length"), figure("attention.head_count"), figure("context_length")
    vocabulary = int(stored["token_embd.weight"].shape[-1]) if "token_embd.weight" in stored else figure("vocab_size")
    return ModelConfig(
        family=ARCHITECTURES[name],
        vocabulary=vocabulary,
        width=width,
        layers=figure("block_count"),
        heads=heads,
        kv_heads=figure("attention.head_count_kv", heads),
        head_width=figure("attention.key_length", width // heads),
        ffn=figure("feed_forward_length"),
        context=context,
        rope_base=figure("rope.freq_base", 10_000.0),
        norm_eps=figure("attention.layer_norm_rms_epsilon"),
        tied="output.weight" not in stored,
        qkv_bias="blk.0.attn_q.bias" in stored,
        out_bias="blk.0.attn_output.bias" in stored,
        mlp_bias="blk.0.ffn_up.bias" in stored,
        rope_scaling=_read_scaling(figure, stored, context, path),
        **(_of_gemma(figure) if name == "gemma3" else {}),
    )


def _of_gemma(figure: Any) -> dict[str, Any]:
    """What Gemma 3 files leave unsaid, and the layers with a window: all but every sixth."""
    every = GEMMA["sliding_window_pattern"]
    return {
        "activation": GEMMA["hidden_activation"],
        "query_width": figure("attention.key_length"),
        "local_rope_base": GEMMA["rope_local_base_freq"],
        "window": figure("attention.sliding_window"),
        "windowed": tuple((layer + 1) % every != 0 for layer in range(figure("block_count"))),
    }


def _read_scaling(figure: Any, stored: dict[str, Any], context: int, path: Path) -> dict[str, Any] | None:
    if ROPE_FACTORS in stored:
        factors = stored[ROPE_FACTORS].data.tolist()
        divided = {"short_factor": factors, "long_factor": factors, "attention_factor": 1.0}
        return {"rope_type": "longrope", "original_max_position_embeddings": context, "factor": 1.0, **divided}
    kind = figure("rope.scaling.type", "none")
    if kind == "none":
        return None
    if kind == "linear":
        return {"rope_type": kind, "factor": figure("rope.scaling.factor")}
    if kind == "yarn":
        original = figure("rope.scaling.original_context_length", context)
        return {
            "rope_type": kind,
            "original_max_position_embeddings": original,
            "factor": figure("rope.scaling.factor"),
        }
    raise UserError(f'{path}: rope scaling "{kind}" is not read from GGUF files.')
