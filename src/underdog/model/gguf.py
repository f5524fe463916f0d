"""GGUF, the file that llama.cpp reads, written from a decoder (gguf_reading.py reads it back, and others' too).

llama.cpp's own converter recognises tokenizers by a hash and refuses those that it has never seen. Ours
splits text by a pattern that llama.cpp knows by name, and writes that name.
"""

import json
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor

from underdog.errors import UserError
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.model.quantizers import Kind, quantize, storage
from underdog.model.rope import SCALINGS
from underdog.tokens.gguf import library
from underdog.tokens.tokenizer import Tokenizer

WRITTEN = ("llama", "qwen2", "qwen3")
ARCHITECTURES = {**{name: name for name in WRITTEN}, "gemma3": "gemma3_text"}
"""Of the files: the family that each holds."""
ROPE_FACTORS = "rope_freqs.weight"  # what each angle is divided by: Llama 3.1's scaling, computed beforehand


class Unwritable(UserError):
    """What llama.cpp's architectures and tokenizers have no place for: no other format helps."""


def write_gguf(model: Decoder, tokenizer: Tokenizer, path: Path, kind: Kind) -> list[str]:
    """Writes weights, configuration, tokenizer and chat template.

    Matrices are stored as `kind`: float32, float16, blocks of 32 weights in 8 bits with a scale (q8_0), or blocks of
    256 in 4 to 6 bits (q4_k_m). A tied head is not stored a second time.

    Returns:
        Names of the matrices that are stored in more bits, because their rows are not whole blocks.

    Raises:
        Unwritable: the file could not say what the model or its tokenizer does.
        UserError: the gguf library is missing, or the tokenizer is not the model's.
    """
    gguf, config = library(), model.config
    check_writable(config, tokenizer)
    if max(tokenizer.core.get_vocab().values()) >= config.vocabulary:
        raise UserError(f"The tokenizer has {tokenizer.vocabulary} tokens, the model {config.vocabulary}.")
    names = tensor_names(gguf, config)
    writer = gguf.GGUFWriter(path, config.family)
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if kind == "f32" else f"MOSTLY_{kind.upper()}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_config(writer, config)
    _add_tokenizer(writer, tokenizer, config.vocabulary, gguf.TokenType)
    too_short = []
    for name, weight in model.named_parameters():
        stored, more = storage(kind, name, weight, config)
        if more:
            too_short.append(name)
        rows = reorder_heads(weight.detach(), rotated_heads(name, config), "interleaved")
        writer.add_tensor(names[name], quantize(rows, stored), raw_dtype=gguf.GGMLQuantizationType[stored.upper()])
    if config.rope_scaling and config.rope_scaling["rope_type"] == "llama3":
        writer.add_tensor(ROPE_FACTORS, _rope_factors(config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return too_short


def check_writable(config: ModelConfig, tokenizer: Tokenizer) -> None:
    """Raises Unwritable: something would be lost without a word."""
    try:
        _ = tokenizer.splitter
    except UserError as problem:
        raise Unwritable(str(problem)) from None
    if config.family not in WRITTEN:
        raise Unwritable(
            f'GGUF files of the family "{config.family}" are not written.',
            hint=f"llama.cpp's own converter reads the checkpoint. Known here: {', '.join(WRITTEN)}.",
        )
    scaling = config.rope_scaling or {}
    kind = scaling.get("rope_type")
    lost = []
    if config.window:
        lost.append("sliding windows")
    if kind not in (None, "linear", "yarn") and (config.family, kind) != ("llama", "llama3"):
        lost.append(f'rope scaling "{kind}"')
    if kind == "yarn" and scaling.keys() != {"rope_type", "factor", "original_max_position_embeddings"}:
        lost.append("YaRN with settings of its own")
    if lost:
        raise Unwritable(f"GGUF files of the architecture {config.family} cannot hold {lost[0]}.")


def rotated_heads(name: str, config: ModelConfig) -> int:
    """Heads in a matrix whose rows llama.cpp wants in another order; 0 for all others.

    Its `llama` architecture rotates neighbouring pairs of a head's numbers, ours the first half against the
    second. Its `qwen2` and `qwen3` do as ours.
    """
    if config.family != "llama":
        return 0
    if ".q_proj." in name:
        return config.heads
    return config.kv_heads if ".k_proj." in name else 0


def reorder_heads(weight: Tensor, heads: int, order: Literal["interleaved", "halves"]) -> Tensor:
    """Takes rows from one rotary layout to the other, head by head."""
    if not heads:
        return weight
    split = (heads, 2, -1) if order == "interleaved" else (heads, -1, 2)
    return weight.unflatten(0, split).transpose(1, 2).flatten(0, 2).contiguous()


def tensor_names(gguf: ModuleType, config: ModelConfig) -> dict[str, str]:
    """llama.cpp's name of each parameter."""
    architectures = {ARCHITECTURES.get(name): arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(architectures[config.family], config.layers)
    with torch.device("meta"):
        parameters = [name for name, _ in Decoder(config).named_parameters()]
    return {name: table.get_name(name, try_suffixes=(".weight", ".bias")) for name in parameters}


def _add_config(writer: Any, config: ModelConfig) -> None:
    writer.add_vocab_size(config.vocabulary)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_width)
    writer.add_value_length(config.head_width)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    scaling = config.rope_scaling or {}
    if scaling.get("rope_type") in ("linear", "yarn"):
        writer.add_rope_scaling_type(library().RopeScalingType(scaling["rope_type"]))
        writer.add_rope_scaling_factor(scaling["factor"])
    if scaling.get("rope_type") == "yarn":
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])


def _rope_factors(config: ModelConfig) -> Any:
    """[F], what divides each plain angle."""
    rope = config.rope()
    scaled, _ = SCALINGS["llama3"](rope, rope.scaling or {}, torch.ones(1, 1))
    return (rope.frequencies(rope.base) / scaled).numpy()


def _add_tokenizer(writer: Any, tokenizer: Tokenizer, vocabulary: int, types: Any) -> None:
    """`gpt2` is llama.cpp's name for byte-level BPE."""
    merges = json.loads(tokenizer.core.to_str())["model"]["merges"]
    special = tokenizer.special_ids()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer.splitter)
    tokens, kinds = _tokens(tokenizer, vocabulary, types)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    writer.add_eos_token_id(special["eos_token_id"])
    writer.add_pad_token_id(special["pad_token_id"])
    # Where there is none llama.cpp would take GPT-2's, id 11: an ordinary token here.
    begin = special["bos_token_id"]
    writer.add_bos_token_id(tokenizer.end_of_text if begin is None else begin)
    writer.add_add_bos_token(bool(tokenizer.opening))
    writer.add_chat_template(tokenizer.template_for(tools=False))


def _tokens(tokenizer: Tokenizer, vocabulary: int, types: Any) -> tuple[list[str], list[int]]:
    """Each token's text and type. Rows of the model without a token are padding, named as by llama.cpp's converter."""
    added = tokenizer.core.get_added_tokens_decoder()
    tokens, kinds = [], []
    for index in range(vocabulary):
        token = tokenizer.core.id_to_token(index)
        tokens.append(f"[PAD{index}]" if token is None else token)
        if token is None:
            kinds.append(types.UNUSED)
        elif index in added:
            kinds.append(types.CONTROL if added[index].special else types.USER_DEFINED)
        else:
            kinds.append(types.NORMAL)
    return tokens, kinds
