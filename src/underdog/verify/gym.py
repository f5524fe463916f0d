"""Tasks from reasoning-gym (https://arxiv.org/abs/2505.24760), with worked reasoning for very small models.

reasoning-gym makes the entry (question, answer, metadata). A task here says which difficulty to ask for and
turns an entry into a problem: a short prompt, what our verifier needs, a canonical key and a worked solution.
The prompt is reasoning-gym's own question without its instructions about the format of the answer: the
demonstrations show that.

    @task("gcd", max_value=80)
    def gcd(entry: Entry) -> Cast: ...

The worked solutions keep three rules, for a tokenizer that splits numbers into digits: no blank before a
digit (it would be a token of its own), one short step per line, and nothing in a step that does not come from
the prompt or the lines above it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.tokens.messages import Message
from underdog.verify.identity import problem_id
from underdog.verify.problem import Problem, Worked

Entry = Mapping[str, Any]  # reasoning-gym's: "question", "answer", "metadata"
_ENDLESS = 1 << 40  # reasoning-gym's datasets want a size; entries are made on demand


@dataclass(frozen=True)
class Cast:
    """What a task makes of an entry."""

    prompt: str
    verifier: str
    data: Mapping[str, Any]
    key: str  # canonical: equivalent problems have equal keys
    worked: Worked


@dataclass(frozen=True)
class Task:
    """A reasoning-gym dataset at one difficulty. `name` is reasoning-gym's own."""

    name: str
    config: Mapping[str, Any]
    cast: Callable[[Entry], Cast]

    def dataset(self, seed: int) -> Any:
        """reasoning-gym's dataset; its `score_answer(answer, entry)` is the second opinion in our tests."""
        try:
            import reasoning_gym
        except ImportError as error:
            raise UserError(
                f'The task "{self.name}" needs reasoning-gym, which is not installed.',
                hint='pip install "underdog[problems]"',
            ) from error
        # Entry i is drawn from Random(seed + i), so neighbouring seeds would share entries: scatter them.
        scattered = int(problem_id(self.name, str(seed))[:12], 16)
        return reasoning_gym.create_dataset(self.name, seed=scattered, size=_ENDLESS, **self.config)

    def problem(self, entry: Entry, domain: str = "logic") -> Problem:
        cast = self.cast(entry)
        return Problem(
            id=problem_id(self.name, cast.key),
            prompt=(Message("user", cast.prompt),),
            verifier=cast.verifier,
            data=cast.data,
            domain=domain,
            task=self.name,
            worked=cast.worked,
        )


_TASKS: dict[str, Task] = {}


def task(name: str, **config: Any) -> Callable[[Callable[[Entry], Cast]], Callable[[Entry], Cast]]:
    """Register a function under reasoning-gym's name for the dataset, with the dataset's configuration."""

    def register(cast: Callable[[Entry], Cast]) -> Callable[[Entry], Cast]:
        _TASKS[name] = Task(name, config, cast)
        return cast

    return register


def task_names() -> list[str]:
    """The names of all tasks, sorted."""
    return sorted(_TASKS)


def get_task(name: str) -> Task:
    """The task called `name`; an unknown name is the user's mistake."""
    if name not in _TASKS:
        raise UserError(f'There is no task "{name}".', hint=did_you_mean(name, _TASKS))
    return _TASKS[name]


def draw(name: str, seed: int) -> Iterator[Problem]:
    """Problems of one task without end, repeats included. The same seed gives the same sequence."""
    chosen = get_task(name)
    dataset = chosen.dataset(seed)
    for index in range(_ENDLESS):
        yield chosen.problem(dataset[index], dataset.category)
