"""The verbs of `underdog curate`: the corpus of a recipe, its labels, and why a document is where it is."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

from underdog.cli_options import RecipeFile, Root, Set, Text, sources
from underdog.errors import nearest
from underdog.talk_cli import ModelPath


class _RunUnlessSaid(TyperGroup):
    """`underdog curate RECIPE` stands for `underdog curate run RECIPE`."""

    def parse_args(self, ctx, args):
        if args and args[0] not in {*self.commands, "--help"} and not _misspelt(args[0], self.commands):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _misspelt(word: str, verbs: Iterable[str]) -> bool:
    """Whether a verb is meant, and no recipe."""
    return not word.endswith(".toml") and not Path(word).exists() and nearest(word, verbs) is not None


curate_app = typer.Typer(
    cls=_RunUnlessSaid, help="Curate a recipe's text: underdog curate RECIPE.", no_args_is_help=True
)


@curate_app.command("run")
def curate(
    recipe: RecipeFile,
    set_: Set = [],  # noqa: B006
    text: Text = [],  # noqa: B006
    on: Annotated[
        Literal["here", "ray"], typer.Option(help="Where the workers are; ray: RAY_ADDRESS, or a local one.")
    ] = "here",
    runs: Root = Path("runs"),
) -> None:
    """Curate a recipe's text and stop. Says what went at which step.

    A run that was killed goes on where it was, and underdog run takes the result over.
    """
    from underdog.recipe.load import load_recipe
    from underdog.report import terminal
    from underdog.report.curation import show_funnel
    from underdog.report.live import LiveReporter
    from underdog.stages.pipeline import check_stage, run_recipe

    resolved = load_recipe(recipe, [*set_, *sources(text)])
    terminal.warn(resolved.warnings)
    check_stage(resolved.recipe, "curate")
    with LiveReporter(resolved.recipe) as reporter:
        done = run_recipe(resolved.recipe, runs, reporter, "curate", on)
    show_funnel(done.artifacts["curate"])


@curate_app.command("label")
def label_documents(
    run: Annotated[Path, typer.Argument(help="A run with a curated corpus, e.g. runs/demo-3f9a.", show_default=False)],
    model: ModelPath,
    out: Annotated[Path, typer.Option(help="Where the labels go; what it holds is not asked again.")] = Path(
        "labels.jsonl"
    ),
    documents: Annotated[int, typer.Option(help="How many documents, from all sources and scores.", min=1)] = 2000,
    budget: Annotated[int | None, typer.Option(help="The most characters to send.", min=1)] = None,
) -> None:
    """Ask a strong model for scores of documents. curate.labels makes an annotator of them."""
    from underdog.generate.open import open_model
    from underdog.report.curation import curated_texts
    from underdog.stages.label import label_corpus

    def progress(done: int, total: int) -> None:
        typer.echo(f"\r{done:,} of {total:,}", nl=done == total, err=True)

    (curated,) = curated_texts(run.parent, run)
    done = label_corpus(curated.path, open_model(model), out, documents, budget, progress)
    typer.echo(
        f"{out}: {done.labelled:,} labelled now, {done.known:,} before, {done.failed:,} without a usable answer; "
        f"{done.characters:,} characters sent."
    )


@curate_app.command("explain")
def explain_document(
    document: Annotated[str, typer.Argument(help="A document's id, or its first characters.", show_default=False)],
    run: Annotated[Path | None, typer.Option(help="A run, e.g. runs/demo-3f9a; all of them unless said.")] = None,
    runs: Root = Path("runs"),
) -> None:
    """Say why a document was dropped, or why it is in its tier. Shows scores, rule, twin and overlap."""
    from underdog.report.curation import explain

    explain(document, runs, run)
