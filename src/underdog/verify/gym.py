"""Tasks from reasoning-gym (https://arxiv.org/abs/2505.24760).

All of them can be used by their name there: the prompt is reasoning-gym's question, the verdict its own scorer's
(logic.py). Some have worked reasoning for very small models (gym_tasks.py), which demonstrations need:

    @task("gcd", max_value=80)
    def gcd(entry: Entry) -> Cast: ...

Such a task says which difficulty to ask for and turns an entry into a problem: a short prompt (reasoning-gym's own
question without its instructions about the format of the answer: the demonstrations show that), what our verifier
needs, a canonical key and a worked solution.

The worked solutions keep three rules, for a tokenizer that splits numbers into digits: no blank before a
digit (it would be a token of its own), one short step per line, and nothing in a step that does not come from
the prompt or the lines above it.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.tokens.messages import Message
from underdog.verify import gym_entries
from underdog.verify.gym_entries import Entry
from underdog.verify.identity import problem_id
from underdog.verify.problem import Problem, Worked


@dataclass(frozen=True)
class Cast:
    """What a task makes of an entry."""

    prompt: str
    verifier: str
    data: Mapping[str, Any]
    key: str  # canonical: equivalent problems have equal keys
    worked: Worked | None


@dataclass(frozen=True)
class Task:
    """A reasoning-gym dataset at one difficulty. `name` is reasoning-gym's own."""

    name: str
    config: Mapping[str, Any]
    cast: Callable[[Entry], Cast]

    def problem(self, entry: Entry) -> Problem:
        cast = self.cast(entry)
        return Problem(
            id=problem_id(self.name, cast.key),
            prompt=(Message("user", cast.prompt),),
            verifier=cast.verifier,
            data=cast.data,
            domain="logic",
            task=self.name,
            worked=cast.worked,
            metadata={"category": entry["category"]} if "category" in entry else {},
        )


_TASKS: dict[str, Task] = {}


def task(name: str, **config: Any) -> Callable[[Callable[[Entry], Cast]], Callable[[Entry], Cast]]:
    """Register a function under reasoning-gym's name for the dataset, with the dataset's configuration."""

    def register(cast: Callable[[Entry], Cast]) -> Callable[[Entry], Cast]:
        _TASKS[name] = Task(name, config, cast)
        return cast

    return register


def worked_tasks() -> list[str]:
    """The names of the tasks with worked reasoning, sorted."""
    importlib.import_module("underdog.verify.gym_tasks")
    return sorted(_TASKS)


def get_task(name: str, config: Mapping[str, Any] | None = None) -> Task:
    """The task called `name`, at its usual difficulty but for what `config` says: reasoning-gym's settings, or "level".

    Raises UserError for a name or a setting that there is not.
    """
    config = config or {}
    if name in worked_tasks():
        found = replace(_TASKS[name], config={**_TASKS[name].config, **config})
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
