"""GGUF, the file that llama.cpp reads: written from a decoder, and read back to see what is in it.

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
from underdog.tokens.template import CHAT_TEMPLATE
from underdog.tokens.tokenizer import CONTROL, MARKS, Tokenizer

Kind = Literal["f32", "f16", "q8_0"]


def write_gguf(model: Decoder, tokenizer: Tokenizer, path: Path, kind: Kind) -> list[str]:
    """Writes weights, configuration, tokenizer and chat template.

    Matrices are stored as `kind`: float32, float16, or blocks of 32 weights in 8 bits with a scale (q8_0).
    Norms, which are small and sensitive, stay float32. A tied head is not stored a second time.

    Returns:
        Names of the matrices that are float16 in a q8_0 file, because their rows are not whole blocks.

    Raises:
        UserError: the gguf library is missing, or the tokenizer is not the model's.
    """
    gguf, config = _library(), model.config
    if tokenizer.vocabulary != config.vocabulary:
        raise UserError(f"The tokenizer has {tokenizer.vocabulary} tokens, the model {config.vocabulary}.")
    names = _tensor_names(gguf, config)
    writer = gguf.GGUFWriter(path, config.family)
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if kind == "f32" else f"MOSTLY_{kind.upper()}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_config(writer, config)
    _add_tokenizer(writer, tokenizer, gguf.TokenType)
    too_short = []
    for name, weight in model.named_parameters():
        stored = _storage(kind, weight)
        if weight.ndim == 2 and stored != kind:
            too_short.append(name)
        rows = _reorder_heads(weight.detach(), _rotated_heads(name, config), "interleaved").numpy()
        type_ = gguf.GGMLQuantizationType[stored.upper()]
        writer.add_tensor(names[name], gguf.quantize(rows, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return too_short


def read_gguf(path: Path) -> Decoder:
    """The decoder that a file of `write_gguf` holds, its weights as float32."""
    gguf = _library()
    reader = gguf.GGUFReader(path)
    config = _read_config(reader)
    names = _tensor_names(gguf, config)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    model = Decoder(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            tensor = stored.pop(names[name])
            rows = torch.tensor(gguf.dequantize(tensor.data, tensor.tensor_type))
            weight.copy_(_reorder_heads(rows, _rotated_heads(name, config), "halves"))
    if stored:
        raise UserError(f"{path} holds tensors that this decoder lacks: {', '.join(sorted(stored)[:3])}.")
    return model


def _storage(kind: Kind, weight: Tensor) -> Kind:
    if weight.ndim < 2:
        return "f32"
    return "f16" if kind == "q8_0" and weight.shape[-1] % 32 else kind


def _rotated_heads(name: str, config: ModelConfig) -> int:
    """Heads in a matrix whose rows llama.cpp wants in another order; 0 for all others.

    Its `llama` architecture rotates neighbouring pairs of a head's numbers, ours the first half against the
    second. Its `qwen3` does as ours.
    """
    if config.family != "llama":
        return 0
    if name.endswith("q_proj.weight"):
        return config.heads
    return config.kv_heads if name.endswith("k_proj.weight") else 0


def _reorder_heads(weight: Tensor, heads: int, order: Literal["interleaved", "halves"]) -> Tensor:
    """Takes rows from one rotary layout to the other, head by head."""
    if not heads:
        return weight
    split = (heads, 2, -1) if order == "interleaved" else (heads, -1, 2)
    return weight.unflatten(0, split).transpose(1, 2).flatten(0, 2).contiguous()


def _tensor_names(gguf: ModuleType, config: ModelConfig) -> dict[str, str]:
    """llama.cpp's name of each parameter."""
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(architectures[config.family], config.layers)
    with torch.device("meta"):
        parameters = [name for name, _ in Decoder(config).named_parameters()]
    return {name: table.get_name(name, try_suffixes=(".weight",)) for name in parameters}


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


def _read_config(reader: Any) -> ModelConfig:
    family = reader.get_field("general.architecture").contents()

    def number(key: str) -> Any:
        return reader.get_field(f"{family}.{key}").contents()

    return ModelConfig(
        family=family,
        vocabulary=number("vocab_size"),
        width=number("embedding_length"),
        layers=number("block_count"),
        heads=number("attention.head_count"),
        kv_heads=number("attention.head_count_kv"),
        head_width=number("attention.key_length"),
        ffn=number("feed_forward_length"),
        context=number("context_length"),
        rope_base=number("rope.freq_base"),
        norm_eps=number("attention.layer_norm_rms_epsilon"),
        tied=all(tensor.name != "output.weight" for tensor in reader.tensors),
    )


def _add_tokenizer(writer: Any, tokenizer: Tokenizer, types: Any) -> None:
    """`gpt2` is llama.cpp's name for byte-level BPE."""
    special = dict.fromkeys(CONTROL, types.CONTROL) | dict.fromkeys(MARKS, types.USER_DEFINED)
    tokens = [tokenizer.core.id_to_token(index) for index in range(tokenizer.vocabulary)]
    merges = json.loads(tokenizer.core.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer.splitter)
    writer.add_token_list(tokens)
    writer.add_token_types([special.get(token, types.NORMAL) for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokenizer.turn_end)
    writer.add_pad_token_id(tokenizer.end_of_text)
    # Never used, but llama.cpp would otherwise take GPT-2's, id 11: an ordinary token here.
    writer.add_bos_token_id(tokenizer.end_of_text)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _library() -> ModuleType:
    try:
        import gguf
    except ImportError as error:
        raise UserError(
            "GGUF files need the gguf library, which is not installed.",
            hint='pip install "underdog[gguf]", or set export.formats = [].',
        ) from error
    return gguf
