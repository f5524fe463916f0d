"""What verbs that read a recipe have in common."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[Path, typer.Argument(help="A recipe, e.g. recipes/demo.toml", show_default=False)]
RunFolder = Annotated[Path, typer.Argument(help="A run, e.g. runs/demo-3f9a.", show_default=False)]
Root = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs and their artifacts.")]
Set = Annotated[list[str], typer.Option("--set", help="Override a setting: --set sft.steps=200 (repeatable).")]
Scale = Annotated[float, typer.Option(help="Shrink (or grow) tokens, model, context and batch together.", min=1e-12)]
Text = Annotated[list[str], typer.Option(help="Your own text instead: folder, glob or file (repeatable).")]


def sources(text: Sequence[str], problems: Sequence[str] = ()) -> list[str]:
    """--text and --problems as the overrides that they stand for."""
    overrides = []
    if text:
        overrides.append(f"curate.sources={json.dumps(text)}")  # a list of strings is the same in JSON and TOML
    if problems:
        overrides += [f"problems.files={json.dumps(problems)}", "problems.tasks=[]"]
    return overrides
