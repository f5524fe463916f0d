"""Going on after a kill: the whole state of a training stage, saved now and then in one piece.

What a step does depends on (seed, step) and this state only, so a resumed run gives the same weights, bit for bit,
as one that was never interrupted (at the same number of threads).
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
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
        self._models = {"model": trainer.model, **(models or {})}
        self._steps = steps
        self.memory: dict[str, Any] = {}  # JSON-able values that the stage carries from step to step

    def steps(self) -> Iterator[int]:
        """The steps that are still to do; saves the state between them."""
        every = _save_every()
        first = self._load()
        saved = time.monotonic()
        for step in range(first, self._steps):
            if step > first and time.monotonic() - saved > every:
                self._save(step)
                saved = time.monotonic()
            yield step

    def _save(self, step: int) -> None:
        """Writes the state before `step` beside the older one, renames it, then removes the older one."""
        self._out.state.mkdir(exist_ok=True)
        draft = self._out.state / "writing"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        for name, model in self._models.items():
            save_file({key: value.contiguous() for key, value in _weights(model)}, draft / f"{name}.safetensors")
        moments, counts = _optimizer_state(self._trainer.optimizers)
        save_file(moments, draft / "optimizer.safetensors")
        record = {"step": step, "counts": counts, "memory": self.memory, "seconds": self._out.seconds}
        write_json(draft / "state.json", {**record, "metrics": self._out.metrics})
        commit_folder(draft, self._out.state / f"step-{step:08d}")
        for older in self._saved()[:-1]:
            shutil.rmtree(older, ignore_errors=True)

    def _load(self) -> int:
        saved = self._saved()
        if not saved:
            self._out.rewind_log(lambda record: False)
            return 0
        folder = saved[-1]
        record = read_json(folder / "state.json")
        for name, model in self._models.items():
            weights = load_file(folder / f"{name}.safetensors")
            with torch.no_grad():
                for key, value in _weights(model):
                    value.copy_(weights[key])
        _restore_optimizer(self._trainer.optimizers, load_file(folder / "optimizer.safetensors"), record["counts"])
        self.memory.update(record["memory"])
        self._out.metrics.update(record["metrics"])
        self._out.earlier = record["seconds"]
        self._out.rewind_log(lambda line: line["step"] < record["step"])
        return record["step"]

    def _saved(self) -> list[Path]:
        return sorted(self._out.state.glob("step-*"))


def _save_every() -> float:
    text = os.environ.get(SAVE_EVERY, "15")
    try:
        return float(text)
    except ValueError:
        raise UserError(f'{SAVE_EVERY} is "{text}".', hint="It should be a number of seconds.") from None


def _weights(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters by name; tied ones once."""
    return list(model.named_parameters())


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
