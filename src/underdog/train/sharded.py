"""Several processes share one model: FSDP2, started by torchrun.

Each process holds a slice of every weight, gradient and moment, gathers a block's weights when it is that block's turn,
and computes its share of the batch. The parts of a batch are dealt out in turn and every sum is divided by the weighted
tokens of the whole batch, so that the batch, and the loss, are the same however many processes there are. With
`compute.context_parallel` it is groups of so many processes that parts are dealt to, and a group shares each sequence.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as distributed
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint import CheckpointException, HuggingFaceStorageWriter
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from underdog import world
from underdog.model.attention import Span
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Compute
from underdog.train.batch import Batch
from underdog.train.context import Group
from underdog.train.objectives import Objective
from underdog.train.strategy import Counts, Figures, Strategy, count

T = TypeVar("T")


class Sharded(Strategy):
    """Weights, gradients and moments in slices, one a process; the parts of a batch dealt out among them."""

    def __init__(self, compute: Compute | None = None, device: str = "cpu"):
        super().__init__(compute, device)
        self.among = world.place()
        self.leads = self.among.rank == 0
        self._group = Group(self.compute.context_parallel)

    def place(self, model: Decoder) -> None:
        super().place(model)
        mesh = init_device_mesh(self.device, (world.size(),))
        policy = MixedPrecisionPolicy(cast_forward_inputs=False)  # rotary angles keep their precision
        if self.compute.precision != "float32":
            policy = replace(policy, param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        for module in (*model.model.layers, model):
            fully_shard(module, mesh=mesh, mp_policy=policy)
            module.set_gradient_divide_factor(1.0)  # gradients add up: each is divided by the batch's tokens already
            module.set_force_sum_reduction_for_comms(True)

    def gradients(self, model: Decoder, objective: Objective, parts: Iterable[Batch]) -> Figures:
        own, counts = self._dealt(parts)
        _slice(model)
        model.zero_grad(set_to_none=True)
        total: dict[str, float] = {}
        for index, part in enumerate(own):
            _sync(model, index == len(own) - 1)
            loss, found = self._loss(model, objective, part, counts)
            loss.backward()
            total = {name: total.get(name, 0.0) + value for name, value in found.items()}
        return dict(zip(total, _summed(list(total.values())), strict=True))

    def own(self, parts: Sequence[Batch]) -> Sequence[Batch]:
        """Gathering weights takes every process, so all of them compute equally many parts: who has one part less
        computes an idle one, a single token without weight."""
        groups = world.size() // self._group.size
        own = parts[world.rank() // self._group.size :: groups]
        return own if len(own) == -(-len(parts) // groups) else [*own, _idle(parts[0])]

    def _dealt(self, parts: Iterable[Batch]) -> tuple[list[Batch], Counts]:
        """This process's tokens of its parts, and what the components of the whole batch are divided by."""
        parts = list(parts)
        return [self._group.share(part) for part in self.own(parts)], count(parts)

    def whole(self, model: Decoder) -> Decoder:
        """Gathers weight by weight, so that no process but the first ever holds more than one of them whole."""
        with torch.device("meta"):
            gathered = Decoder(model.config)
        for name, weight in self.weights(model).items():
            full = weight.full_tensor().detach()
            if self.leads:
                gathered.load_state_dict({name: full}, strict=False, assign=True)
        if model.config.tied:
            gathered.lm_head.weight = gathered.model.embed_tokens.weight
        return gathered

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        _slice(model)
        return super().weights(model)

    def save(self, tensors: Mapping[str, Tensor], folder: Path) -> None:
        """Every process writes its slices, as safetensors."""
        distributed.barrier()  # the folder is there
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        try:
            dcp.save({name: value.detach() for name, value in tensors.items()}, storage_writer=writer)
        except CheckpointException as problem:
            raise next(iter(problem.failures.values()))[0] from problem

    def agree(self, value: T) -> T:
        return world.agree(value)


def _slice(model: nn.Module) -> None:
    """Every weight in slices: a pass without a gradient leaves the outermost ones gathered, and as long as they are,
    their slices, with the gradient of the step before, are not among the model's parameters."""
    if isinstance(model, FSDPModule):
        model.reshard()


def _idle(part: Batch) -> Batch:
    extra = {name: values[:1] for name, values in part.extra.items()}
    return Batch(part.ids_N[:1], part.targets_N[:1], torch.zeros(1), [Span(0, 1)], extra)


def _sync(model: Decoder, last: bool) -> None:
    """Gradients cross the network once a batch, with its last part."""
    assert isinstance(model, FSDPModule)
    model.set_requires_gradient_sync(last)
    model.set_is_last_backward(last)


def _summed(values: list[float]) -> list[float]:
    """Sums over the processes."""
    sums = torch.tensor(values, dtype=torch.float64)  # on the CPU, by gloo
    distributed.all_reduce(sums)
    return sums.tolist()
