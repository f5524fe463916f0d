"""What the command line prints beside progress: settings, warnings, lists of runs, lineage."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from underdog.artifacts.runs import RECORD
from underdog.errors import UserError
from underdog.recipe.load import Resolved
from underdog.stages.pipeline import STORE, Run, open_run


def warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        Console(stderr=True).print(f"[yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)


def show_settings(resolved: Resolved) -> None:
    """Every setting, its value and where it came from."""
    table = Table(box=None, pad_edge=False)
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for key, value, origin in resolved.settings():
        style = "dim" if origin == "default" else ""
        table.add_row(*map(escape, (key, _shown(value), origin)), style=style)
    Console().print(table)


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def show_runs(root: Path) -> None:
    folders = sorted(root.glob(f"*/{RECORD}"), key=lambda path: -path.stat().st_mtime) if root.exists() else []
    if not folders:
        raise UserError(f"There are no runs in {root}.", hint="underdog run recipes/demo.toml makes one.")
    table = Table(box=None, pad_edge=False)
    for column in ("run", "last stage", "pass@1 sampled", "greedy"):
        table.add_column(column)
    for path in folders:
        run = open_run(path.parent)
        results = [a for name, a in run.artifacts.items() if name.startswith("evaluate-") and "control" not in name]
        last = results[-1].metrics if results else None
        table.add_row(
            escape(str(path.parent)),
            list(run.artifacts)[-1],
            f"{last['sampled']['mean']:.1%}" if last else "",
            f"{last['greedy']['mean']:.1%}" if last else "",
        )
    Console().print(table)


def show_lineage(run: Run) -> None:
    """Each stage: the folder of its artifact, the time it took, what it was made from."""
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "artifact", "seconds", "made from"):
        table.add_column(column, overflow="fold")
    names = {artifact.path.name: name for name, artifact in run.artifacts.items()}
    for name, artifact in run.artifacts.items():
        parents = ", ".join(names.get(folder, folder) for folder in artifact.manifest["parents"].values())
        where = escape(str(run.folder.parent / STORE / artifact.path.name))
        table.add_row(name, where, f"{artifact.seconds:.1f}", parents)
    Console().print(table)
