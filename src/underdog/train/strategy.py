"""How a step is computed: by one process that holds the whole model, or by several that share it.

The loop, the objectives and the stages know `Strategy` only. `Local` is here; `Sharded` (train/sharded.py) shares
weights, gradients and moments among the processes that torchrun started, `Replicated` (train/replicated.py) gives each
of them the whole model.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from underdog.lanes import side_by_side
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Compute
from underdog.train.batch import Batch
from underdog.train.float8 import use_float8
from underdog.train.objectives import Objective, Sums
from underdog.world import ALONE

PART_TOKENS = 512  # enough to fill a CPU's core, and parts for many
PART_TOKENS_OF_GPU = 16_384

T = TypeVar("T")
Figures = dict[str, float]
Counts = dict[str, float]
TOKENS = "tokens"


class Strategy(ABC):
    """Where the weights are, who computes what of a batch, and who writes."""

    leads = True
    """Whether this process writes what the processes have in common: logs, checkpoints, manifests."""
    among = ALONE
    """This process's place among those that answer and judge a share of the problems each."""

    def __init__(self, compute: Compute | None = None, device: str = "cpu"):
        self.compute = compute or Compute()
        self.device = device

    def place(self, model: Decoder) -> None:
        """Readies a model for training, in place. Optimizers are built after it."""
        model.to(self.device)
        if self.compute.precision == "fp8":
            use_float8(model)
        if self.compute.precision != "float32":
            model.forward = in_bfloat16(model.forward)
        for block in model.model.layers:
            if self.compute.activation_checkpointing:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
            if self.compute.compile:
                block.compile(dynamic=True)

    @property
    def part_tokens(self) -> int:
        """Tokens that one forward and backward pass holds."""
        return self.compute.part_tokens or (PART_TOKENS if self.device == "cpu" else PART_TOKENS_OF_GPU)

    def own(self, parts: Sequence[Batch]) -> Sequence[Batch]:
        """The parts that this process computes."""
        return parts

    @abstractmethod
    def gradients(self, model: Decoder, objective: Objective, parts: Iterable[Batch]) -> Figures:
        """Leaves the gradient of the whole batch in the weights' `grad`; returns the objective's components and
        watched figures, each divided by the batch's number of weighted tokens, and `loss`, their sum."""

    @abstractmethod
    def whole(self, model: Decoder) -> Decoder:
        """The model with all of its weights here, where this process leads."""

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """The weights that may change, by name, tied ones once, as this process holds them between steps."""
        return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}

    @abstractmethod
    def save(self, tensors: Mapping[str, Tensor], folder: Path) -> None:
        """Writes tensors into a folder that rank 0 has made; back when those of every process are on the disk."""

    def agree(self, value: T) -> T:
        """What rank 0 says, in every process."""
        return value

    def _loss(self, model: Decoder, objective: Objective, part: Batch, counts: Counts) -> tuple[Tensor, Figures]:
        """The part's share of the loss, with its figures."""
        sums: Sums = objective(model, part)
        shares = {
            name: value / counts[sums.per.get(name, TOKENS)]
            for name, value in (*sums.loss.items(), *sums.watch.items())
        }
        loss = sum(shares[name] for name in sums.loss)
        return loss, {**{name: float(value.detach()) for name, value in shares.items()}, "loss": float(loss.detach())}


def count(parts: Iterable[Batch]) -> Counts:
    """What the components of a whole batch are divided by."""
    counts: Counts = defaultdict(float)
    for part in parts:
        counts[TOKENS] += float(part.weights_N.sum())
        for name, number in part.counts.items():
            counts[name] += number
    return counts


class Local(Strategy):
    """The whole model in this process; the parts of a batch side by side in its lanes."""

    def gradients(self, model: Decoder, objective: Objective, parts: Iterable[Batch]) -> Figures:
        parts = list(parts)
        model.zero_grad(set_to_none=True)
        return self._sums(model, objective, parts, count(parts))

    def _sums(self, model: Decoder, objective: Objective, parts: Sequence[Batch], counts: Counts) -> Figures:
        """Adds the parts' gradients up; `counts` are those of the whole batch."""
        weights = [weight for weight in model.parameters() if weight.requires_grad]

        def slopes_of(part: Batch) -> tuple[Sequence[Tensor], Figures]:
            loss, found = self._loss(model, objective, part, counts)
            return torch.autograd.grad(loss, weights, materialize_grads=True), found

        figures: Figures = defaultdict(float)
        for slopes, found in side_by_side(slopes_of, parts):
            for weight, slope in zip(weights, slopes, strict=True):
                weight.grad = slope if weight.grad is None else weight.grad.add_(slope)
            for name, value in found.items():
                figures[name] += value
        return figures

    def whole(self, model: Decoder) -> Decoder:
        return model

    def save(self, tensors: Mapping[str, Tensor], folder: Path) -> None:
        save_file({name: value.detach().contiguous() for name, value in tensors.items()}, folder / "whole.safetensors")


def in_bfloat16(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Matrix products in bfloat16, and a result in it; norms, softmax and sums stay float32."""

    def rounded(ids_N: Tensor, *rest: Any) -> Tensor:
        with torch.autocast(ids_N.device.type, torch.bfloat16, cache_enabled=False):  # lanes would share the cache
            return forward(ids_N, *rest).bfloat16()

    return rounded


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that several processes may share; every one of them asks for it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def on_whole(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of whole matrices for shared ones too: gathered, computed by every process alike, shared again."""

    def apply(matrix: Any) -> Tensor:
        if not hasattr(matrix, "full_tensor"):
            return function(matrix)
        from torch.distributed.tensor import distribute_tensor

        result = function(matrix.full_tensor())
        return distribute_tensor(result, matrix.device_mesh, matrix.placements, src_data_rank=None)

    return apply
