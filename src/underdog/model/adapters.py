"""Adapters: a frozen model whose matrices are changed by small trained ones.

LoRA (arXiv 2106.09685) adds `B A * alpha / rank` to a matrix W; DoRA (arXiv 2402.09353) also trains the length of each
of its rows. W may be held in bfloat16 or in four bits (QLoRA). Folders are PEFT's: adapter_config.json,
adapter_model.safetensors.

Shapes: N tokens, r rank, I inputs, O outputs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import linear

from underdog.artifacts.files import read_json, write_json
from underdog.errors import UserError, did_you_mean
from underdog.model.bfloat16 import BFloat16
from underdog.model.decoder import Decoder
from underdog.model.fourbit import FourBit
from underdog.recipe.teaching import Adapter, Precision

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # before the names of the checkpoint, in PEFT's files
AGAIN = "Copy the adapter anew, with the checkpoint that it was trained on."
UNREAD = (
    "modules_to_save", "layers_to_transform", "layer_replication", "rank_pattern", "alpha_pattern",
    "alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config",
    "lora_bias", "target_parameters", "trainable_token_indices",
)  # fmt: skip
"""Of PEFT's settings, those under which the same matrices compute something else, or not all is in them."""
REBASED = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Values of `init_lora_weights` with which training begins by changing the checkpoint itself."""


class Adapted(nn.Module):
    """A linear layer with its adapter. `magnitude` [O] is DoRA's."""

    def __init__(self, layer: nn.Module, rank: int, scale: float, dora: bool):
        super().__init__()
        outputs, inputs = layer.weight.shape
        self.base = layer
        self.scale = scale
        self.lora_A = nn.Parameter(torch.zeros(rank, inputs))
        self.lora_B = nn.Parameter(torch.zeros(outputs, rank))  # no change to begin with
        self.magnitude = nn.Parameter(layer.weight.detach().float().norm(dim=1)) if dora else None

    def forward(self, x_NI: Tensor) -> Tensor:
        """Everything is multiplied in what the base is multiplied in; the adapter's own weights stay float32."""
        rounded = x_NI.bfloat16() if isinstance(self.base, BFloat16) else x_NI
        a, b = (weight.to(rounded.dtype) for weight in (self.lora_A, self.lora_B))
        out = torch.addmm(self.base(rounded), linear(rounded, a), b.mT, alpha=self.scale).to(x_NI.dtype)
        if self.magnitude is None:
            return out
        length_O = self._turned().norm(dim=1).detach()  # a constant in the backward pass (DoRA, section 4.3)
        bias = 0.0 if self.base.bias is None else self.base.bias
        return (out - bias) * (self.magnitude / length_O) + bias

    def weight_merged(self) -> Tensor:
        """The matrix [O, I] that computes the same."""
        turned = self._turned()
        return turned if self.magnitude is None else turned * (self.magnitude / turned.norm(dim=1))[:, None]

    def _turned(self) -> Tensor:
        return self.base.weight + self.lora_B @ self.lora_A * self.scale


def attach(model: Decoder, settings: Adapter, seed: int) -> None:
    """Freezes the model, in place, and gives each target its adapter; packs the targets where the recipe says so.

    Raises:
        UserError: a target is no matrix of this model.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for parent, name in list(_targets(model, settings.targets)):
        layer = _held(getattr(parent, name), settings.precision)
        adapted = Adapted(layer, settings.rank, settings.alpha / settings.rank, settings.kind == "dora")
        with torch.no_grad():  # Kaiming-uniform, as in the first LoRA
            bound = adapted.lora_A.shape[1] ** -0.5
            adapted.lora_A.uniform_(-bound, bound, generator=generator)
        setattr(parent, name, adapted)


def _held(layer: nn.Linear, precision: Precision) -> nn.Module:
    if precision == "float32":
        return layer
    return BFloat16(layer) if precision == "bf16" else FourBit(layer, precision)


def merge(model: Decoder) -> None:
    """Puts plain matrices, which compute what the adapted ones do, in their places."""
    for _, parent, name, adapted in _adapted(model):
        weight = adapted.weight_merged().detach()
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=adapted.base.bias is not None, device="meta")
        layer.weight = nn.Parameter(weight)
        if adapted.base.bias is not None:
            layer.bias = nn.Parameter(adapted.base.bias.detach().float())
        setattr(parent, name, layer)
    model.requires_grad_(True)


def save_adapter(model: Decoder, settings: Adapter, base: str, folder: Path) -> None:
    """Writes a folder that PEFT reads; `base` is where its checkpoint is."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for path, _, _, adapted in _adapted(model):
        for key, value in (("lora_A.weight", adapted.lora_A), ("lora_B.weight", adapted.lora_B)):
            tensors[f"{PREFIX}{path}.{key}"] = value.detach().contiguous()
        if adapted.magnitude is not None:
            tensors[f"{PREFIX}{path}.lora_magnitude_vector"] = adapted.magnitude.detach().contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "use_dora": settings.kind == "dora",
        "use_rslora": False,
        "target_modules": sorted({name for _, _, name, _ in _adapted(model)}),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    write_json(folder / CONFIG, config)


def load_adapter(model: Decoder, folder: Path, precision: Precision = "float32") -> Adapter:
    """Attaches the adapter of a PEFT folder to the model, in place; returns what it is.

    Args:
        precision: of the model's own matrices, which the folder does not say.

    Raises:
        UserError: the folder is damaged, of another kind of adapter, or of another model.
    """
    config = read_json(folder / CONFIG, "An adapter is a folder with adapter_config.json.")
    settings, scale = _settings(config, folder)
    settings = settings.model_copy(update={"precision": precision})
    try:
        stored = {name.removeprefix(PREFIX): value for name, value in load_file(folder / WEIGHTS).items()}
    except (OSError, SafetensorError) as problem:
        raise UserError(f"{folder / WEIGHTS} cannot be read: {problem}.", hint=AGAIN) from None
    attach(model, settings, seed=0)
    for path, _, _, adapted in _adapted(model):
        adapted.scale = scale
        _fill(adapted.lora_A, stored, f"{path}.lora_A.weight", folder)
        _fill(adapted.lora_B, stored, f"{path}.lora_B.weight", folder)
        if adapted.magnitude is not None:
            _fill(adapted.magnitude, stored, f"{path}.lora_magnitude_vector", folder)
    if stored:
        raise UserError(f"{folder / WEIGHTS} holds {sorted(stored)[0]}, which the model has no place for.", hint=AGAIN)
    return settings.model_copy(update={"alpha": scale * settings.rank})


def _settings(config: Any, folder: Path) -> tuple[Adapter, float]:
    """What adapter_config.json says, and what the change is multiplied by."""
    if not isinstance(config, dict):
        raise UserError(f"{folder / CONFIG} does not hold a JSON object.", hint=AGAIN)
    foreign = [name for name in UNREAD if config.get(name)]
    if str(begun := config.get("init_lora_weights")).lower().startswith(REBASED):
        foreign.append(f'init_lora_weights "{begun}"')
    if config.get("peft_type") != "LORA" or foreign or config.get("bias", "none") != "none":
        what = foreign[0] if foreign else f'peft_type "{config.get("peft_type")}", bias "{config.get("bias")}"'
        raise UserError(f"{folder / CONFIG}: {what} is not supported.", hint="LoRA and DoRA of whole matrices are.")
    targets = config.get("target_modules")
    if isinstance(targets, str):
        raise UserError(f'{folder / CONFIG}: target_modules is the pattern "{targets}".', hint="List their names.")
    kind = "dora" if config.get("use_dora") else "lora"
    try:
        settings = Adapter(kind=kind, rank=config["r"], alpha=config["lora_alpha"], targets=sorted(targets))
    except (KeyError, TypeError, ValueError):  # ValueError: a rank of 0, an alpha that is no number
        raise UserError(
            f"{folder / CONFIG} lacks r, lora_alpha or target_modules, or has impossible ones.", hint=AGAIN
        ) from None
    return settings, settings.alpha / (settings.rank**0.5 if config.get("use_rslora") else settings.rank)


def _fill(weight: nn.Parameter, stored: dict[str, Tensor], name: str, folder: Path) -> None:
    value = stored.pop(name, None)
    if value is None or value.shape != weight.shape:
        found = "is missing" if value is None else f"has shape {tuple(value.shape)}, not {tuple(weight.shape)}"
        raise UserError(f"{folder / WEIGHTS}: {name} {found}.", hint=AGAIN)
    with torch.no_grad():
        weight.copy_(value)


def _targets(model: Decoder, wanted: list[str]) -> Iterator[tuple[nn.Module, str]]:
    """(module, name of its matrix) of the wanted names; of all matrices inside the blocks where none are said."""
    places = [
        (parent, name)
        for parent in model.model.layers.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    names = {name for _, name in places}
    for name in wanted:
        if name not in names:
            raise UserError(f'The model has no matrix "{name}" to adapt.', hint=did_you_mean(name, names))
    return ((parent, name) for parent, name in places if not wanted or name in wanted)


def _adapted(model: Decoder) -> list[tuple[str, nn.Module, str, Adapted]]:
    """(path in the checkpoint, module that holds it, its name there, the layer)."""
    found = []
    for path, module in model.named_modules():
        if isinstance(module, Adapted):
            parent, _, name = path.rpartition(".")
            found.append((path, model.get_submodule(parent), name, module))
    return found
