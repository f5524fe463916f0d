"""The command line: verbs, nothing else."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from underdog import __version__, jobs_cli, talk_cli, world
from underdog.cli_options import RecipeFile, Root, RunFolder, Scale, Set, Text, sources
from underdog.curate_cli import curate_app
from underdog.data_cli import data_app
from underdog.errors import UserError

VERBS = (
    *("run", "plan", "ablate", "curate", "data", "runs", "card"),
    *("chat", "serve", "complete", "classify", "route", "extract", "entities", "normalize", "dialog", "tune", "tag"),
    *("doctor", "merge", "sandbox"),
)
INTERRUPTED = 130  # how typer exits on Ctrl-C


class _InOrder(TyperGroup):
    """Verbs are listed in the order in which a person needs them."""

    def list_commands(self, ctx):
        return sorted(super().list_commands(ctx), key=VERBS.index)


app = typer.Typer(
    name="underdog",
    cls=_InOrder,
    help="Makes small language models that beat big ones, and puts them to work.\n\n"
    "Start with:  underdog run recipes/demo.toml",
    no_args_is_help=True,
    add_completion=False,
    suggest_commands=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
runs_app = typer.Typer(help="Look at what has been made.", no_args_is_help=True, suggest_commands=True)
for group, name in ((runs_app, "runs"), (data_app, "data"), (curate_app, "curate")):
    app.add_typer(group, name=name)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"underdog {__version__}")
        raise typer.Exit


@app.callback()
def before_verbs(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Options that stand before a verb."""


@app.command()
def run(
    recipe: RecipeFile,
    set_: Set = [],  # noqa: B006  (typer reads the default, nobody changes it)
    scale: Scale = 1.0,
    text: Text = [],  # noqa: B006
    problems: Annotated[list[str], typer.Option(help="Your own problems, JSON lines (repeatable).")] = [],  # noqa: B006
    until: Annotated[str, typer.Option(help="Stop after this stage.")] = "export",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every setting and its origin, make nothing.")
    ] = False,
    nproc: Annotated[int, typer.Option(help="Processes on this machine that share training: one a GPU.", min=1)] = 1,
    runs: Root = Path("runs"),
) -> None:
    """Run a recipe: from raw text to an evaluated, exported model.

    Stages whose result is there already are skipped; a run that was stopped, or killed, goes on where it was.
    """
    from underdog.recipe.load import load_recipe
    from underdog.report import terminal

    if nproc > 1 and world.size() == 1 and not dry_run:
        load_recipe(recipe, [*set_, *sources(text, problems)], scale)  # its mistakes are told once
        raise typer.Exit(world.launch(nproc, ["-m", "underdog.cli", *sys.argv[1:]]))
    resolved = load_recipe(recipe, [*set_, *sources(text, problems)], scale)
    terminal.warn(resolved.warnings)
    if dry_run:
        terminal.show_settings(resolved)
        return
    from underdog.report.live import LiveReporter
    from underdog.report.outcome import finish
    from underdog.stages.pipeline import check_stage, run_recipe
    from underdog.stages.together import check_processes

    check_stage(resolved.recipe, until)
    check_processes(resolved.recipe.compute)
    world.join()
    if resolved.recipe.base and until == "export" and world.rank() == 0:
        from underdog.stages.export import foreseen

        terminal.warn(foreseen(resolved.recipe))
    if resolved.recipe.compute.precision != "float32":
        from underdog.train.hardware import precision_warning

        terminal.warn(precision_warning(resolved.recipe.compute))
    with LiveReporter(resolved.recipe) as reporter:
        done = run_recipe(resolved.recipe, runs, reporter, until)
    if world.rank() == 0:
        finish(done)
    world.leave()


@app.command()
def plan(
    recipe: RecipeFile,
    set_: Set = [],  # noqa: B006
    scale: Scale = 1.0,
    text: Text = [],  # noqa: B006
    runs: Root = Path("runs"),
) -> None:
    """Show what pretraining will do before it does anything.

    Each phase with its tokens, steps, learning rate, batch, sequence length and mixture; mixture and learning rate
    drawn over the tokens; parameters and FLOPs; and what is read of each source. Where the text has been tokenised
    already (underdog run RECIPE --until tokenize) it says for how many epochs, and a plan that asks for more than
    pretrain.epochs allows is refused, as run would refuse it.
    """
    from underdog.recipe.load import load_recipe
    from underdog.report import terminal
    from underdog.report.show_plan import show_plan

    resolved = load_recipe(recipe, [*set_, *sources(text)], scale)
    terminal.warn(resolved.warnings)
    show_plan(resolved.recipe, runs)


@app.command()
def ablate(
    recipe: RecipeFile,
    switch: Annotated[
        str | None,
        typer.Option(help='A switch by name, or "section.key=value" as its off state. Without it: what there is.'),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Seeds to run with and without.", min=1)] = 3,
    set_: Set = [],  # noqa: B006
    scale: Scale = 1.0,
    until: Annotated[
        str | None, typer.Option(help="Compare after this stage; each switch has its own.", show_default=False)
    ] = None,
    runs: Root = Path("runs"),
) -> None:
    """Measure what a trick is worth, by runs with and without it.

    They differ in nothing else. Shown is the difference between runs of equal seeds, with its 95 % interval.
    """
    from underdog.recipe.load import load_recipe
    from underdog.report.ablation import show_ablation, show_switches
    from underdog.report.live import LiveReporter
    from underdog.stages.ablate import ablate as measure
    from underdog.stages.switches import find_switch

    if switch is None:
        show_switches()
        return
    resolved = load_recipe(recipe, set_, scale)
    chosen = find_switch(switch)
    with LiveReporter(resolved.recipe) as reporter:
        result = measure(resolved, chosen, seeds, runs, reporter, until)
    show_ablation(result)


@app.command()
def doctor(runs: Root = Path("runs")) -> None:
    """Look at this machine: whether threads, bf16 and a GPU pay.

    Cores, memory, GPU and free disk, with advice.
    """
    from underdog.report.doctor import doctor as look

    look(runs)


@app.command()
def merge(
    base: Annotated[Path, typer.Argument(help="The checkpoint folder that the adapter changes.", show_default=False)],
    adapter: Annotated[Path, typer.Argument(help="An adapter folder: PEFT's LoRA or DoRA.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder for the merged checkpoint.", show_default=False)],
) -> None:
    """Put an adapter into its model: a plain checkpoint folder."""
    from underdog.model import adapters
    from underdog.model.weights import load_pretrained, save_pretrained
    from underdog.tokens.tokenizer import Tokenizer

    model = load_pretrained(base)
    adapters.load_adapter(model, adapter)
    adapters.merge(model)
    save_pretrained(model, Tokenizer.load(base), out)
    print(out)


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on; there are no passwords.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 = any that is free.", min=0, max=65535)] = 8090,
) -> None:
    """Run model-written code for other machines.

    Their recipes say problems.sandbox = "http://…".
    """
    from underdog.lanes import cores
    from underdog.verify.sandbox.local import open_local
    from underdog.verify.sandbox.remote import make_server

    here = open_local(weak=False, count=cores())
    try:
        server = make_server(here, host, port)
    except OSError as problem:
        raise UserError(f"{host}, port {port}: {problem.strerror}.", hint="Name another: --host, --port.") from None
    with server:
        print(f"http://{host}:{server.server_port}  kept in by {', '.join(here.layers)}\nCtrl-C stops.", flush=True)
        server.serve_forever()


talk_cli.add_to(app)
jobs_cli.add_to(app)


@runs_app.command("list")
def list_runs(runs: Root = Path("runs")) -> None:
    """All runs, newest first."""
    from underdog.report.terminal import show_runs

    show_runs(runs)


@runs_app.command("show")
def show_run(run: RunFolder) -> None:
    """A run's stages, their results and what each was made from."""
    from underdog.report.terminal import show_lineage
    from underdog.stages.pipeline import open_run

    show_lineage(open_run(run))


@runs_app.command("rollouts")
def show_rollouts_of(
    run: RunFolder,
    step: Annotated[int | None, typer.Option(help="Of this step; the last one unless said.", min=0)] = None,
) -> None:
    """Answers that reinforcement learned from, with verdicts.

    Those of the last look, of a run that is finished or goes on; the groups whose answers differ in reward come first.
    """
    from underdog.report.show_rollouts import show_rollouts
    from underdog.stages.pipeline import open_run

    show_rollouts(open_run(run), step)


@app.command()
def card(run: RunFolder) -> None:
    """Write the run's card anew: one self-contained HTML page."""
    from underdog.report.outcome import card_of
    from underdog.stages.pipeline import open_run

    print(card_of(open_run(run)))


def main() -> None:
    """Runs the command line. A mistake of the user's ends in one or two lines and exit code 2."""
    try:
        with world.one_voice():
            app()
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        if problem.hint:
            print(f"       {problem.hint}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as ending:
        if ending.code == INTERRUPTED and world.size() == 1:  # of several processes, the one that started them says it
            print("\nStopped. The same command goes on from here.", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
