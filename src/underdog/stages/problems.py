"""Problems: tasks and users' files → demonstrations, train, validation and test."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from underdog.errors import UserError, did_you_mean
from underdog.verify.gym import draw, get_task, worked_tasks
from underdog.verify.oracle import chance
from underdog.verify.problem import Problem, reference_answer
from underdog.verify.problem_files import Loaded, load_problems, write_problems
from underdog.verify.splits import SPLITS, split

if TYPE_CHECKING:
    from underdog.artifacts.store import Draft


class ProblemSettings(Protocol):
    """What the recipe says about problems."""

    tasks: Sequence[str]  # of reasoning-gym
    difficulty: Mapping[str, Mapping[str, Any]]  # by task: its settings there, or "level"
    files: Sequence[str]  # the user's, or published sets' (docs/problems.md)
    demonstrations: int
    train: int
    validation: int
    test: int


def problems(settings: ProblemSettings, seed: int, out: "Draft") -> None:
    """Write <split>.jsonl for the four splits, which share no problem, and count what is in them.

    Metrics, each by task or by file: `counts` (problems by split), `set_aside` (duplicates),
    `without_reasoning` (a file's problems that cannot be demonstrations), `rejected` (rows of published sets that
    cannot be judged; rejects.jsonl names each), `chance` (mean reward of guessing on the test split), `examples`
    (one problem of the train split).

    Raises UserError for unknown tasks, bad files and sizes that the sources cannot fill.
    """
    if unused := set(settings.difficulty) - set(settings.tasks):
        name = min(unused)
        raise UserError(
            f'problems.difficulty speaks of "{name}", which is not among the tasks.',
            hint=did_you_mean(name, settings.tasks),
        )
    for name in settings.tasks:
        get_task(name, settings.difficulty.get(name))  # a misspelt name is found before any work
    sizes = {name: getattr(settings, name) for name in SPLITS}
    if not settings.tasks and not settings.files:
        raise UserError("No problems: neither tasks nor files are named.", hint='Try tasks = ["chain_sum"].')
    loaded = {str(path): load_problems(path) for path in map(Path, settings.files)}
    files = {name: found.problems for name, found in loaded.items()}
    ticks = count()
    total = sum(sizes.values())
    drawn = {
        name: _reported(
            draw(name, seed, settings.difficulty.get(name)), ticks, lambda done: out.progress(min(done, total), total)
        )
        for name in settings.tasks
    }

    result = split(files, drawn, sizes, seed, unworked=set(settings.tasks) - set(worked_tasks()))

    for name, members in result.problems.items():
        write_problems(out.path / f"{name}.jsonl", members)
    out.metrics["counts"] = _counts(result.problems)
    out.metrics["set_aside"] = result.duplicates
    plain = {name: sum(problem.worked is None for problem in members) for name, members in files.items()}
    out.metrics["without_reasoning"] = {name: count for name, count in plain.items() if count}
    out.metrics["rejected"] = {name: len(found.rejected) for name, found in loaded.items() if found.rejected}
    _write_rejects(out.path / "rejects.jsonl", loaded)
    out.metrics["chance"] = _chance(result.problems["test"], seed)
    out.metrics["examples"] = _examples(result.problems["train"] or list(chain(*result.problems.values())))


def _write_rejects(path: Path, loaded: Mapping[str, Loaded]) -> None:
    rejected = [(name, one) for name, found in loaded.items() for one in found.rejected]
    if rejected:
        with path.open("w", encoding="utf-8") as file:
            for name, one in rejected:
                file.write(json.dumps({"file": name, "line": one.line, "why": one.why}, ensure_ascii=False) + "\n")


def _reported(stream: Iterator[Problem], ticks: Iterator[int], report: Callable[[int], None]) -> Iterator[Problem]:
    """The stream; every hundredth tick, which all streams share, is reported."""
    for problem in stream:
        tick = next(ticks)
        if tick % 100 == 0:
            report(tick)
        yield problem


def _counts(splits: dict[str, list[Problem]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for name, members in splits.items():
        for task, number in sorted(Counter(problem.task for problem in members).items()):
            counts[task][name] = number
    return dict(counts)


def _chance(test: list[Problem], seed: int) -> dict[str, float]:
    by_task = defaultdict(list)
    for problem in test:
        by_task[problem.task].append(problem)
    return {task: round(chance(same, seed), 4) for task, same in by_task.items()}


def _examples(members: list[Problem]) -> dict[str, dict[str, Any]]:
    examples: dict[str, dict[str, Any]] = {}
    for problem in members:
        if problem.task not in examples:
            examples[problem.task] = {
                "prompt": problem.prompt[-1].content,
                "reasoning": problem.worked.reasoning if problem.worked else None,
                "answer": reference_answer(problem),
            }
    return examples
