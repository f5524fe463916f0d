"""A decoder that sorts texts into classes: a linear layer over the last hidden state of a text's last token.

Shapes: S texts, C classes, D width.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from underdog.errors import UserError
from underdog.lanes import cut, side_by_side
from underdog.model.adapters import attach, load_adapter, save_adapter
from underdog.model.attention import Packed, end_to_end
from underdog.model.decoder import Decoder
from underdog.recipe.teaching import Adapter, Precision

HEAD, ADAPTER = "head.safetensors", "adapter"
WEIGHT = "score.weight"  # as transformers names it in models for sequence classification
PART_TOKENS = 1024  # of one pass


def add_classes(model: Decoder, classes: int, adapter: Adapter, seed: int) -> None:
    """Freezes the model and gives it an adapter and, as `score`, a head of zeros, in place."""
    attach(model, adapter, seed)
    model.score = nn.Linear(model.config.width, classes, bias=False)
    nn.init.zeros_(model.score.weight)


def class_scores(model: Decoder, texts_S: Sequence[Sequence[int]]) -> Tensor:
    """Scores [S, C] of the classes, without gradient."""
    with torch.no_grad():
        return model.score(last_hidden(model, texts_S))


@torch.no_grad()
def last_hidden(model: Decoder, texts_S: Sequence[Sequence[int]]) -> Tensor:
    """Hidden states [S, D] of the last tokens; texts of like length are read together, whatever their order."""
    order = sorted(range(len(texts_S)), key=lambda index: len(texts_S[index]))
    parts = cut(order, lambda index: len(texts_S[index]), PART_TOKENS)

    def read(part: Sequence[int]) -> Tensor:
        spans = end_to_end([len(texts_S[index]) for index in part])
        ids_N = torch.tensor([token for index in part for token in texts_S[index]])
        last_S = torch.tensor([span.start + span.length - 1 for span in spans])
        return model(ids_N, Packed(spans))[last_S]

    hidden_SD = torch.cat(list(side_by_side(read, parts)))
    return torch.empty_like(hidden_SD).index_copy_(0, torch.tensor(order), hidden_SD)


def save_classifier(model: Decoder, adapter: Adapter, base: str, folder: Path) -> None:
    """Writes what was trained: the head, and the adapter as PEFT reads it."""
    save_adapter(model, adapter, base, folder / ADAPTER)
    save_file({WEIGHT: model.score.weight.detach().contiguous()}, folder / HEAD)


def load_classifier(model: Decoder, folder: Path, precision: Precision = "float32") -> Adapter:
    """Gives the model the adapter and the head of a folder, in place; returns what adapter it is.

    Args:
        precision: of the model's own matrices.

    Raises:
        UserError: the folder is damaged, or of another model.
    """
    adapter = load_adapter(model, folder / ADAPTER, precision)
    try:
        weight_CD = load_file(folder / HEAD)[WEIGHT]
    except (OSError, SafetensorError, KeyError) as problem:
        raise UserError(f"{folder / HEAD} cannot be read: {problem}.", hint="Copy the classifier anew.") from None
    model.score = nn.Linear(weight_CD.shape[1], len(weight_CD), bias=False)
    model.score.weight = nn.Parameter(weight_CD)
    return adapter
