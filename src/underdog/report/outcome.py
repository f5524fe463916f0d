"""The end of a run: the table, the card, and what to do next."""

import os
import sys
from pathlib import Path
from shutil import which

from rich.console import Console
from rich.table import Table

from underdog.report.card import write_card
from underdog.report.table import summary_rows
from underdog.stages.pipeline import Run


def finish(run: Run) -> None:
    """Prints the table of stages, writes the card, and names the lines that start a chat and a server."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    for column, align in (
        ("stage", "left"),
        ("time", "right"),
        ("pass@1 sampled", "right"),
        ("greedy", "right"),
        ("held-out\nloss", "right"),
    ):
        table.add_column(column, justify=align, vertical="bottom", no_wrap=align == "right")
    for row in summary_rows(run.artifacts):
        table.add_row(*row.cells())
    console.print()
    console.print(table)
    console.print(f"\nrun card   {card_of(run)}", highlight=False, soft_wrap=True)
    if "export" in run.artifacts:
        for verb in ("chat", "serve"):
            console.print(f"{verb:<10} {_program()} {verb} {run.folder}", highlight=False, soft_wrap=True)


def _program() -> str:
    """How this program is called: by its path where it is not on PATH, as after `make demo`."""
    return "underdog" if which("underdog") else os.path.relpath(Path(sys.executable).with_name("underdog"))


def card_of(run: Run) -> Path:
    """Writes card.html into the run's folder."""
    return write_card(run, run.folder / "card.html")
