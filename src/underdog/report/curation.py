"""What curation did, in the terminal: the funnel, and why one document is where it is."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from underdog.artifacts.store import Artifact, load
from underdog.errors import UserError
from underdog.stages.pipeline import STORE, open_run
from underdog.text.corpus import CONTAMINATED, DOCUMENTS, REJECTS, find_document

_SHORTEST_ID = 6  # characters of an id that are enough to look for it
_EXCERPT = 300  # characters


def show_funnel(curated: Artifact) -> None:
    """Documents and tokens left after each step, the tiers, and where the files are."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("left after")
    columns = ("documents", "tokens", "characters")
    for column in columns:
        table.add_column(column, justify="right")
    for step in curated.metrics["funnel"]:
        table.add_row(step["step"], *(f"{step[name]:,}" for name in columns))
    for tier, found in curated.metrics["tiers"].items():
        table.add_row(f"  {tier}", *(f"{found[name]:,}" for name in columns), style="dim")
    console.print()
    console.print(table)
    said = [f"\ndocuments  {curated.path / DOCUMENTS}"]
    if curated.metrics["rejected"]:
        said.append(f"set aside  {curated.metrics['rejected']:,} records: {curated.path / REJECTS}")
    if "contaminated" in curated.metrics["dropped"]:
        said.append(f"held a test's problem: {curated.path / CONTAMINATED}")
    examples = [example for inside in curated.metrics["examples"].values() for example in inside]
    said.append(f"why a document is where it is: underdog curate explain {examples[0]['id'][:8] if examples else 'ID'}")
    console.print("\n".join(said), highlight=False, soft_wrap=True)


def explain(beginning: str, root: Path, run: Path | None) -> None:
    """Prints why the documents whose id begins so were dropped, or why they are in their tier.

    Raises:
        UserError: the id is too short, or there is no such document.
    """
    if len(beginning) < _SHORTEST_ID:
        raise UserError(
            f'"{beginning}" is too short for an id.', hint=f"Give at least {_SHORTEST_ID} characters of it."
        )
    curated = curated_texts(root, run)
    for artifact in curated:
        if rows := find_document(artifact.path, beginning):
            console = Console()
            console.print(f"{artifact.path}", style="dim", soft_wrap=True)
            for row in rows:
                _show(row, artifact, console)
            return
    looked = ", ".join(artifact.path.name for artifact in curated) or f"{root}, where nothing has been curated"
    raise UserError(f'No document\'s id begins with "{beginning}": looked in {looked}.')


def curated_texts(root: Path, run: Path | None) -> list[Artifact]:
    """The run's curated text; without a run, all that is there, newest first."""
    if run is not None:
        artifacts = open_run(run).artifacts
        if "curate" not in artifacts:
            raise UserError(f"{run} has no curated text.", hint="Name a run that curated.")
        return [artifacts["curate"]]
    folders = sorted((root / STORE).glob("curate-*/manifest.json"), key=lambda path: -path.stat().st_mtime)
    return [load(path.parent, verify=False) for path in folders if not path.parent.name.endswith(".partial")]


def _show(row: dict[str, Any], curated: Artifact, console: Console) -> None:
    def say(text: str = "") -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    score = "" if row["score"] is None else f", score {row['score']:.3f}"
    say(f"\n{row['id']}  {row['source']}  {row['origin']}")
    say(f"{'kept in tier ' + row['tier'] if row['tier'] else 'dropped: ' + row['dropped']}{score}")
    if row["cluster"] and row["cluster"] != row["id"]:
        for twin in find_document(curated.path, row["cluster"])[:1]:
            say(f"its twin that stayed: {twin['id']}  {twin['source']}  {twin['origin']}")
    elif row["cluster"]:
        say("stands for its duplicates, which were dropped")
    if row.get("overlap_with"):
        say(f"holds {row['overlap']:.0%} of the held-out item {row['overlap_with']}")
    signals = curated.metrics["signals"]
    known = {"id", "source", "origin", "tier", "dropped", "cluster", "score", "overlap", "overlap_with", "text"}
    for name, value in row.items():
        if name not in known and name not in signals and value is not None:
            say(f"{name.replace('_', ' ')}: {format(value, ',' if isinstance(value, int) else '')}")
    if row["score"] is not None:
        table = Table(box=None, pad_edge=False)
        for column, align in (("signal", "left"), ("0–9", "right"), ("weight", "right"), ("what it is", "left")):
            table.add_column(column, justify=align)
        for name, signal in sorted(signals.items(), key=lambda found: (-found[1]["weight"], found[0])):
            what = signal["definition"].partition(". ")[0].rstrip(".")
            table.add_row(name, str(row[name]), f"{signal['weight']:g}", what)
        console.print(table)
    say(f"\n{row['text'][:_EXCERPT]}{'…' if len(row['text']) > _EXCERPT else ''}")
