"""Answers that reinforcement learned from, with their verdicts, in the terminal: of any run, while it goes on too."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from underdog.errors import UserError
from underdog.report.card import plain
from underdog.stages.pipeline import Run, log_so_far


def show_rollouts(run: Run, step: int | None) -> None:
    """Prints the rollouts of a step; of the last that has any unless one is named.

    Raises:
        UserError: the run has no rollouts, or none of that step.
    """
    looks = {record["step"]: record["rollouts"] for record in log_so_far(run, "reinforce") if "rollouts" in record}
    if not looks:
        raise UserError(f"{run.folder} has no rollouts: its reinforcement has not begun, or it has none.")
    chosen = max(looks) if step is None else step
    if chosen not in looks:
        raise UserError(f"There are no rollouts of step {chosen} to read.", hint=f"There are of {_listed(looks)}.")
    console = Console()
    console.print(f"step {chosen}, of {_listed(looks)}", style="dim", highlight=False)
    for group in looks[chosen]:
        _show(group, console)


def _show(group: Mapping[str, Any], console: Console) -> None:
    def say(text: str, style: str = "", indent: int = 0) -> None:
        console.print(Padding(Text(plain(text), style), (0, 0, 0, indent)))

    rewards = group["rewards"]
    console.print()
    say(group["prompt"], "bold")
    say(f"{group['task']}: {len(rewards)} answers, mean reward {sum(rewards) / len(rewards):.2f}", "dim")
    for answer in group["answers"]:
        console.print()
        say(answer["text"], indent=2)
        style = "green" if answer["outcome"] == "right" else "red"
        said = f"reward {answer['reward']:.2f}, {answer['outcome']}: {answer['verdict']} ({answer['tokens']} tokens)"
        say(said, style, indent=2)


def _listed(steps: Iterable[int]) -> str:
    """0, 20, 40, 60 … 2440"""
    *first, last = map(str, steps)
    return ", ".join([*first, last]) if len(first) < 8 else f"{', '.join(first[:4])} … {last}"
