"""The verbs of the narrow jobs: a table in, the same table with results out."""

from pathlib import Path
from typing import Annotated

import typer

Table = Annotated[Path, typer.Argument(help="A table: .csv, .jsonl or .parquet.", show_default=False)]
JobModel = Annotated[str, typer.Option("--model", help="As for chat.")]
Column = Annotated[str, typer.Option(help="The column with the texts.")]
Out = Annotated[
    Path | None, typer.Option(help="Where the results go; a stopped job goes on there.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    for verb in (classify, extract, entities, tune):
        app.command()(verb)


def classify(
    file: Table,
    model: JobModel,
    label: Annotated[list[str], typer.Option(help='A label, or "name: description" (repeatable).')] = [],  # noqa: B006
    multi: Annotated[bool, typer.Option("--multi", help="Any number of labels may hold.")] = False,
    abstain: Annotated[float, typer.Option(help="Least probability of an answer.", min=0, max=1)] = 0.0,
    column: Column = "text",
    out: Out = None,
) -> None:
    """Sort texts into labels: probabilities from one pass over the labels, no text is generated."""
    from underdog.tasks.run import classify_file

    print(classify_file(file, model, label, out, column, multi, abstain))


def extract(
    file: Table,
    model: JobModel,
    form: Annotated[Path, typer.Option(help="JSON: a schema, or an object whose values say what is wanted.")],
    column: Column = "text",
    out: Out = None,
) -> None:
    """Fill a form from each text; every value with the place where it stands."""
    from underdog.tasks.run import extract_file

    print(extract_file(file, model, form, out, column))


def entities(
    file: Table,
    model: JobModel,
    type_: Annotated[list[str], typer.Option("--type", help='A type, or "name: examples" (repeatable).')],
    column: Column = "text",
    out: Out = None,
) -> None:
    """Find names and other things in each text, with checked places."""
    from underdog.tasks.run import entities_file

    print(entities_file(file, model, type_, out, column))


def tune(
    file: Table,
    out: Annotated[Path, typer.Option(help="Folder for the classifier and its report.", show_default=False)],
    column: Column = "text",
    label: Annotated[str, typer.Option(help="The column with the labels.")] = "label",
    error: Annotated[float, typer.Option(help="Most of what is kept that may be wrong: sets the threshold.")] = 0.05,
    seed: int = 0,
) -> None:
    """Fit a classifier to labelled rows: TF-IDF under a linear model, calibrated, with a report on rows it never saw.

    It is the floor that a language model has to beat: `underdog classify FILE --model FOLDER` uses it.
    """
    from underdog.tasks.run import tune_file

    print(tune_file(file, out, column, label, error, seed))
