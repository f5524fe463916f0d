"""The terminal while a recipe runs: a line for each stage, with a bar, what it is doing, and the time left."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from underdog import world
from underdog.artifacts.store import Artifact
from underdog.lanes import cores
from underdog.recipe.schema import Recipe

QUIET = 30.0  # seconds between lines when the output is not a terminal


class LiveReporter:
    """Shows progress; where the output is a file or a pipe, a line now and then instead of bars."""

    def __init__(self, recipe: Recipe):
        self._console = Console()
        self._recipe = recipe
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._spoke = 0.0

    def __enter__(self) -> "LiveReporter":
        self._console.print(f"[bold]{escape(self._recipe.name)}[/] · {machine(self._recipe)}")
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, stage: str) -> None:
        self._stage = stage
        self._spoke = time.monotonic()
        self._task = self._progress.add_task(stage, total=None, note="")

    def progress(self, done: float, total: float, note: str) -> None:
        self._progress.update(self._task, completed=done, total=total, note=note)
        if not self._console.is_terminal and time.monotonic() - self._spoke > QUIET:
            self._spoke = time.monotonic()
            self._console.print(f"  {self._stage} {done / total:.0%}  {note}", highlight=False)

    def end(self, stage: str, artifact: Artifact, reused: bool) -> None:
        self._progress.remove_task(self._task)
        when = "[dim]there already[/]" if reused else f"{artifact.seconds:6.1f} s"
        line = f"[green]✓[/] {stage:<20} {when:<18} {result_line(artifact)}"
        self._console.print(line, highlight=False, soft_wrap=True)


def machine(recipe: Recipe) -> str:
    """What the run computes on, in words."""
    count = recipe.threads or cores()
    words = [f"{count} CPU core{'s' if count > 1 else ''}, {recipe.compute.precision}", f"seed {recipe.seed}"]
    if world.size() > 1:
        words.append(f"{world.size()} processes share training, the first alone does the rest")
    return " · ".join(words)


def result_line(artifact: Artifact) -> str:
    """The one thing to know about a finished stage."""
    m = artifact.metrics
    match artifact.stage:
        case "problems":
            counts = m["counts"]
            total = {split: sum(task.get(split, 0) for task in counts.values()) for split in ("train", "test")}
            rejected = sum(m.get("rejected", {}).values())
            aside = f", {rejected:,} set aside (rejects.jsonl)" if rejected else ""
            return f"{total['train']:,} to learn from, {total['test']:,} held out{aside}"
        case "curate":
            return ", ".join(f"{tier} {found['documents']:,}" for tier, found in m["tiers"].items()) + " documents"
        case "tokenize":
            return f"{m['vocabulary']:,} tokens, {m['bytes_per_token']:.2f} bytes a token"
        case "pretrain":
            losses = " → ".join(f"{loss:.3f}" for loss in m["held_out_loss"].values())
            return f"held-out loss {losses}, {m['tokens_per_second']:,.0f} tokens/s"
        case "refine" | "reconstruct":
            return asked_line(m)
        case "chains":
            return f"{m['conversations']:,} conversations"
        case "sft" | "control" | "chain-model":
            aside = f", {m['set_aside']:,} rows set aside (set-aside.jsonl)" if m["set_aside"] else ""
            return f"{m['demonstrations']:,} conversations, {m['epochs']:.1f} epochs{aside}"
        case "evaluate":
            return f"pass@1 {m['sampled']['mean']:.1%} sampled, {m['greedy']['mean']:.1%} greedy"
        case "distill":
            return f"{m['steps']} steps {m['method']}, loss {m['loss']:.3f}"
        case "reinforce":
            return f"{m['steps']} steps, {m['problems_drawn']:,} problems tried"
        case "export":
            return escape("; ".join(f"{name}: {warning}" for name, warning in m.get("warnings", {}).items()))
        case _:
            return ""


def asked_line(m: Mapping[str, Any]) -> str:
    """How the rows ended that teachers worked on, and what that cost."""
    ended = ", ".join(f"{count:,} {how}" for how, count in m["ended"].items())
    failed = ", ".join(f"{count:,} {why}" for why, count in m["failed"].items())
    tokens = f"{m['tokens_read'] + m['tokens_written']:,} tokens"
    money = f", {m['money']:.4g} of money" if m["money"] else ""
    return f"{ended}{f' ({failed})' if failed else ''}; {m['taught']:,} rows to learn from; {tokens}{money}"
