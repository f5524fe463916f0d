"""`underdog plan`: the phases of a recipe as a table, a drawing, and what they read."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from underdog.recipe.schema import Recipe
from underdog.report.plan import Reading, Synthesis, rate, readings, schedule, size, synthesis
from underdog.report.plot_terminal import draw
from underdog.report.words import count, percent, short
from underdog.tokens.phases import Span, mixable_tokens


def show_plan(recipe: Recipe, runs: Path) -> None:
    """Prints the plan; then refuses it where `underdog run` would."""
    console = Console()
    if recipe.base:
        console.print(f"[bold]{recipe.name}[/] · starts from {recipe.base}: nothing is pretrained", highlight=False)
        _show_before_sft(console, recipe)
        return
    there = _tokens_there(recipe, runs)
    _show_pretraining(console, recipe, there)
    _show_before_sft(console, recipe)
    if there is None:
        console.print(
            "Epochs are known once the text is tokenised: underdog run … --until tokenize", style="dim", highlight=False
        )
    else:
        schedule(recipe).check_epochs(there, recipe.pretrain.epochs, recipe.pretrain.epochs_of)


def _show_pretraining(console: Console, recipe: Recipe, there: dict[str, int] | None) -> None:
    laid_out, needs = schedule(recipe), size(recipe)
    console.print(
        f"[bold]{recipe.name}[/] · {short(needs.parameters)} parameters ({short(needs.inside)} without embeddings) · "
        f"{short(laid_out.tokens)} tokens in {count(laid_out.steps)} steps · {needs.flops:.3g} FLOPs",
        highlight=False,
    )
    console.print()
    console.print(_phases(laid_out.spans))
    console.print()
    for line in draw(laid_out.spans, min(console.width, 100)):
        console.print(line)
    console.print()
    console.print(_sources(readings(recipe, there), laid_out.spans))


def _show_before_sft(console: Console, recipe: Recipe) -> None:
    """What teachers will do to the rows that SFT reads, where the recipe asks for it."""
    if found := synthesis(recipe):
        console.print()
        console.print(_before_sft(found))


def _tokens_there(recipe: Recipe, runs: Path) -> dict[str, int] | None:
    """Tokens by source, where the recipe's text has been tokenised."""
    from underdog.stages.pipeline import STORE, already_made

    made = already_made(recipe, runs, "tokenize") if (runs / STORE).is_dir() else {}
    return mixable_tokens(made["tokenize"].metrics) if "tokenize" in made else None


def _before_sft(found: list[Synthesis]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("before SFT", "models", "rows", "requests a row", "budget"):
        table.add_column(column, justify="right" if column in ("rows", "requests a row") else "left", overflow="fold")
    for one in found:
        rows = "all" if one.rows is None else f"at most {count(one.rows)}"
        table.add_row(one.stage, one.models, rows, f"at most {one.requests}", one.budget)
    return table


def _phases(spans: list[Span]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("phase", "tokens", "share", "steps", "learning rate", "batch", "sequence", "rope base"):
        table.add_column(column, justify="left" if column in ("phase", "learning rate") else "right")
    for span in spans:
        table.add_row(
            span.name,
            short(span.tokens),
            percent(span.tokens / spans[-1].end),
            count(span.steps),
            rate(span),
            short(span.batch_tokens),
            count(span.context),
            count(span.rope_base),
        )
    return table


def _sources(found: list[Reading], spans: list[Span]) -> Table:
    """What is read of each source, and its share of each phase."""
    table = Table(box=None, pad_edge=False)
    for column in ("source", "read", "there", "epochs", "allowed", *(span.name for span in spans)):
        table.add_column(column, justify="left" if column == "source" else "right")
    for one in found:
        table.add_row(
            one.source,
            short(one.tokens),
            "?" if one.there is None else short(one.there),
            "?" if one.epochs is None else f"{one.epochs:.2f}",
            f"{one.most:g}",
            *(percent(share, 0) if (share := span.mix.get(one.source, 0.0)) else "" for span in spans),
            style="red" if one.epochs is not None and one.epochs > one.most else "",
        )
    return table
