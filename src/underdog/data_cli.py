"""The verbs of `underdog data`: look at what is trained on, and have teachers make more of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

data_app = typer.Typer(
    help="Look at what is trained on, and have teachers make more of it.", no_args_is_help=True, suggest_commands=True
)

Source = Annotated[
    Path, typer.Argument(help="Conversations or problems (docs/teaching.md, docs/problems.md).", show_default=False)
]
Out = Annotated[Path, typer.Option(help="Folder for rows.jsonl (what SFT reads) and records.jsonl.")]
Models = Annotated[
    list[str], typer.Option(help="A run, a folder, a .gguf file or an address: http://host/v1#model (repeatable).")
]
Tokens = Annotated[int | None, typer.Option(help="Most tokens, read and written, of all models together.", min=1)]
Money = Annotated[float | None, typer.Option(help="Most money, in the unit of the prices.", min=0)]
PriceIn = Annotated[float, typer.Option(help="Price of a million tokens read.", min=0)]
PriceOut = Annotated[float, typer.Option(help="Price of a million tokens written.", min=0)]
MaxTokens = Annotated[int, typer.Option(help="Longest reply.", min=1)]
Seed = Annotated[int, typer.Option(help="Equal seeds ask the same things.")]


@data_app.command("show")
def show_data(
    path: Annotated[
        Path, typer.Argument(help="A file of conversations, a run, or what refine wrote.", show_default=False)
    ],
    model: Annotated[
        Path | None, typer.Option(help="Whose tokens: a run or a checkpoint folder.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option(help="Conversations to show.", min=1)] = 3,
    refinement: Annotated[
        bool, typer.Option("--refinement", help="Show every step that refine or reconstruct took.")
    ] = False,
) -> None:
    """Show conversations as the tokens that SFT reads.

    Those that carry loss stand out; bad rows are named.
    """
    from underdog.report import show_data as show

    if refinement:
        show.show_records(path, count)
    else:
        show.show_data(path, model, count)


@data_app.command()
def refine(
    source: Source,
    teacher: Models,
    out: Out = Path("refined"),
    student: Annotated[list[str], typer.Option(help="Also drafts (repeatable).")] = [],  # noqa: B006
    evaluator: Annotated[list[str], typer.Option(help="Scores drafts; the teachers unless said (repeatable).")] = [],  # noqa: B006
    enough: Annotated[float, typer.Option(help="Score, 0 to 10, at which an answer is good.", min=0, max=10)] = 8.0,
    least: Annotated[float, typer.Option(help="Answers that stay below it are left out.", min=0, max=10)] = 0.0,
    rounds: Annotated[int, typer.Option(help="Most revisions.", min=0)] = 2,
    max_tokens: MaxTokens = 2048,
    words: Annotated[int, typer.Option(help="Longest critique, in characters.", min=1)] = 2000,
    seed: Seed = 1,
    budget_tokens: Tokens = None,
    budget_money: Money = None,
    price_in: PriceIn = 0.0,
    price_out: PriceOut = 0.0,
) -> None:
    """Have answers drafted, judged by a checklist and revised."""
    from underdog.synthesis.refine import Refiner, refined
    from underdog.synthesis.replies import Budget
    from underdog.synthesis.work import REPLIES, open_teachers

    budget = Budget(budget_tokens, budget_money, price_in, price_out)
    with open_teachers([*teacher, *student, *evaluator], out / REPLIES, budget) as models:
        refiner = Refiner(
            [models[name] for name in (*teacher, *student)],
            [models[name] for name in evaluator or teacher],
            enough,
            least,
            rounds,
            max_new_tokens=max_tokens,
            words=words,
            seed=seed,
        )
        _work(source, out, models, refiner.refine, refined)


@data_app.command()
def reconstruct(
    source: Source,
    teacher: Annotated[str, typer.Option(help="Writes the reasoning: a run, a folder, a .gguf file or an address.")],
    out: Out = Path("reconstructed"),
    judge: Annotated[str, typer.Option(help="Says what a chain leads to; the teacher unless said.")] = "",
    summary: Annotated[bool, typer.Option(help="Have the reasoning summarised first.")] = True,
    attempts: Annotated[int, typer.Option(help="Chains of a row, until one is good.", min=1)] = 1,
    max_tokens: MaxTokens = 4096,
    seed: Seed = 1,
    budget_tokens: Tokens = None,
    budget_money: Money = None,
    price_in: PriceIn = 0.0,
    price_out: PriceOut = 0.0,
) -> None:
    """Have the reasoning written that leads to the answers.

    Chains that give themselves away are dropped.
    """
    from underdog.synthesis.reconstruct import Reconstructor, reconstructed
    from underdog.synthesis.replies import Budget
    from underdog.synthesis.work import REPLIES, open_teachers

    budget = Budget(budget_tokens, budget_money, price_in, price_out)
    with open_teachers([teacher, judge or teacher], out / REPLIES, budget) as models:
        worker = Reconstructor(
            models[teacher],
            models[judge or teacher],
            summary,
            max_new_tokens=max_tokens,
            attempts=attempts,
            seed=seed,
        )
        _work(source, out, models, worker.reconstruct, reconstructed)


@data_app.command()
def chains(
    source: Source, out: Annotated[Path, typer.Option(help="File for the conversations.")] = Path("chains.jsonl")
) -> None:
    """Make conversations that teach a model to write reasoning.

    They are made of answers that have theirs.
    """
    from underdog.errors import UserError
    from underdog.synthesis.items import read_items
    from underdog.synthesis.reconstruct import completion_rows
    from underdog.synthesis.work import write_rows

    rows = list(completion_rows(read_items(source)[0]))
    if not rows:
        raise UserError(
            f"{source}: no answer has its reasoning.", hint='Each row needs "reasoning" (docs/teaching.md).'
        )
    write_rows(out, rows)
    print(f"{out}: {len(rows):,} conversations")


def _work(source: Path, out: Path, models: Any, step: Callable[..., Any], answered: Callable[..., Any]) -> None:
    """Works through a file, and says what became of it and what it cost."""
    from underdog.report.show_data import show_asking
    from underdog.synthesis.items import read_items
    from underdog.synthesis.work import counts, work_through

    def progress(done: int, total: int, record: Any) -> None:
        typer.echo(f"\r{done:,} of {total:,}", nl=done == total, err=True)

    items, aside = read_items(source)
    try:
        records = work_through(items, step, answered, out, models, progress)
    finally:
        show_asking(list(models.values()), aside)
    ended = counts(records)["ended"]
    print(f"{out}: {', '.join(f'{count:,} {how}' for how, count in ended.items())}")
