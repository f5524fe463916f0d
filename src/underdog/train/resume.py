"""Going on after a kill: the whole state of a training stage, saved now and then in one piece.

What a step does depends on (seed, step) and this state only, so a resumed run gives the same weights, bit for bit,
as one that was never interrupted (at the same number of threads and processes). A state is safetensors and a JSON
file; one that several processes wrote in slices is read by any number of them, and the other way round.
"""

import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from underdog.artifacts.files import commit_folder, read_json, write_json
from underdog.artifacts.store import Draft
from underdog.errors import UserError
from underdog.train.trainer import Trainer

SAVE_EVERY = "UNDERDOG_SAVE_SECONDS"
"""Names the variable with the seconds between saves, 15 unless set. When a state is saved never changes what is
computed; the tests save at every step."""


class Resumable:
    """Counts the steps of a stage and keeps its state."""

    def __init__(self, out: Draft, trainer: Trainer, steps: int, models: dict[str, nn.Module] | None = None):
        self._out = out
        self._trainer = trainer
        self._strategy = trainer.strategy
        self._models = {"model": trainer.model, **(models or {})}
        self._steps = steps
        self.memory: dict[str, Any] = {}  # JSON-able values that the stage carries from step to step

    def steps(self) -> Iterator[int]:
        """The steps that are still to do; saves the state between them."""
        every = _save_every()
        first = self._load()
        saved = time.monotonic()
        for step in range(first, self._steps):
            if step > first and self._strategy.agree(time.monotonic() - saved > every):
                self._save(step)
                saved = time.monotonic()
            yield step

    def _save(self, step: int) -> None:
        """Writes the state before `step` beside the older one, renames it, then removes the older one."""
        draft = self._out.state / "writing"
        if self._strategy.leads:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
        moments, counts = _optimizer_state(self._trainer.optimizers)
        self._strategy.save({**self._weights(), **_named("optimizer", moments)}, draft)
        if self._strategy.leads:
            record = {"step": step, "counts": counts, "memory": self.memory, "seconds": self._out.seconds}
            write_json(draft / "state.json", {**record, "metrics": self._out.metrics})
            commit_folder(draft, self._out.state / f"step-{step:08d}")
            for older in self._saved()[:-1]:
                shutil.rmtree(older, ignore_errors=True)

    def _load(self) -> int:
        newest = self._strategy.agree(self._saved()[-1:])
        if not newest:
            self._out.rewind_log(lambda record: False)
            return 0
        (folder,) = newest
        record = read_json(folder / "state.json")
        moments = _room_for_moments(self._trainer.optimizers, folder)
        read_tensors(folder, {**self._weights(), **_named("optimizer", moments)})
        _restore_optimizer(self._trainer.optimizers, moments, record["counts"])
        self.memory.update(record["memory"])
        self._out.metrics.update(record["metrics"])
        self._out.earlier = record["seconds"]
        self._out.rewind_log(lambda line: line["step"] < record["step"])
        return record["step"]

    def _weights(self) -> dict[str, Tensor]:
        """The weights of all models by name; tied ones once."""
        return {
            key: weight
            for name, model in self._models.items()
            for key, weight in _named(name, self._strategy.weights(model)).items()
        }

    def _saved(self) -> list[Path]:
        return sorted(self._out.state.glob("step-*"))


def read_tensors(folder: Path, into: Mapping[str, Tensor]) -> None:
    """Fills tensors, whole or sliced, from the safetensors in a folder, however those are sliced."""
    import torch.distributed.checkpoint as dcp

    reader = dcp.HuggingFaceStorageReader(str(folder))
    with warnings.catch_warnings(action="ignore"):  # that each process reads for itself
        dcp.load({name: tensor.detach() for name, tensor in into.items()}, storage_reader=reader, no_dist=True)


def _save_every() -> float:
    text = os.environ.get(SAVE_EVERY, "15")
    try:
        return float(text)
    except ValueError:
        raise UserError(f'{SAVE_EVERY} is "{text}".', hint="It should be a number of seconds.") from None


def _named(owner: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{owner}.{name}": tensor for name, tensor in tensors.items()}


def _optimizer_state(optimizers: list[Optimizer]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The optimizers' moments and step counts, by the parameter's place among all they hold."""
    moments, counts = {}, {}
    for index, (optimizer, weight) in enumerate(_optimized(optimizers)):
        for name, value in optimizer.state.get(weight, {}).items():
            if name == "step":
                counts[str(index)] = float(value)
            else:
                moments[f"{index}.{name}"] = value
    return moments, counts


def _room_for_moments(optimizers: list[Optimizer], folder: Path) -> dict[str, Tensor]:
    """Zeros for the moments that a folder holds, sliced like the weights that they belong to."""
    weights = [weight for _, weight in _optimized(optimizers)]
    found = {name for path in folder.glob("*.safetensors") for name in safe_open(path, "pt").keys()}  # noqa: SIM118
    names = sorted(name.removeprefix("optimizer.") for name in found if name.startswith("optimizer."))
    return {name: torch.zeros_like(weights[int(name.partition(".")[0])]) for name in names}


def _restore_optimizer(optimizers: list[Optimizer], moments: dict[str, Tensor], counts: dict[str, float]) -> None:
    for index, (optimizer, weight) in enumerate(_optimized(optimizers)):
        prefix = f"{index}."
        state = {key.removeprefix(prefix): value for key, value in moments.items() if key.startswith(prefix)}
        if str(index) in counts:
            state["step"] = torch.tensor(counts[str(index)])
        if state:
            optimizer.state[weight] = state


def _optimized(optimizers: list[Optimizer]) -> Iterator[tuple[Optimizer, Tensor]]:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                yield optimizer, weight
