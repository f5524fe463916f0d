"""Tasks from reasoning-gym (https://arxiv.org/abs/2505.24760).

All of them can be used by their name there: the prompt is reasoning-gym's question, the verdict its own scorer's
(logic.py). Some have worked reasoning for very small models (gym_tasks.py), which demonstrations need.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.verify import gym_entries
from underdog.verify.gym_entries import Entry
from underdog.verify.gym_tasks import TASKS
from underdog.verify.gym_types import Cast, Task
from underdog.verify.problem import Problem


def worked_tasks() -> list[str]:
    """The names of the tasks with worked reasoning, sorted."""
    return sorted(TASKS)


def get_task(name: str, config: Mapping[str, Any] | None = None) -> Task:
    """The task called `name`, at its usual difficulty but for what `config` says: reasoning-gym's settings, or "level".

    Raises UserError for a name or a setting that there is not.
    """
    config = config or {}
    if name in TASKS:
        found = replace(TASKS[name], config={**TASKS[name].config, **config})
    else:
        if name not in (names := gym_entries.task_names()):
            raise UserError(f'There is no task "{name}".', hint=did_you_mean(name, names))
        found = Task(name, config, lambda entry: _plain(name, config, entry))
    if config:
        gym_entries.check_config(name, found.config)
    return found


def _plain(name: str, config: Mapping[str, Any], entry: Entry) -> Cast:
    """reasoning-gym's own question and scorer."""
    kept = {key: entry[key] for key in ("question", "answer", "metadata")}
    data = {"task": name, "entry": kept, **({"config": dict(config)} if config else {})}
    return Cast(entry["question"].strip(), "reasoning-gym", data, entry["question"], None)


def draw(name: str, seed: int, config: Mapping[str, Any] | None = None) -> Iterator[Problem]:
    """Problems of one task without end, repeats included. The same arguments give the same sequence."""
    chosen = get_task(name, config)
    for entry in gym_entries.entries(chosen.name, seed, chosen.config):
        yield chosen.problem(entry)
