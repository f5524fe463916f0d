"""What a task with worked reasoning is: gym_tasks.py has them, one function each.

    @task("gcd", max_value=80)
    def gcd(entry: Entry) -> Cast: ...

Such a task says which difficulty to ask for and turns an entry into a problem: a short prompt (reasoning-gym's own
question without its instructions about the format of the answer: the demonstrations show that), what our verifier
needs, a canonical key and a worked solution.

The worked solutions keep three rules, for a tokenizer that splits numbers into digits: no blank before a
digit (it would be a token of its own), one short step per line, and nothing in a step that does not come from
the prompt or the lines above it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from underdog.tokens.messages import Message
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


def task(name: str, **config: Any) -> Callable[[Callable[[Entry], Cast]], Task]:
    """Makes a function the task of reasoning-gym's name for the dataset, with the dataset's configuration."""
    return lambda cast: Task(name, config, cast)
