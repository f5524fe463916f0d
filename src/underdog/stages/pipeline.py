"""A whole recipe: its stages made one after the other, and the folder of the run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

from underdog import world
from underdog.artifacts.files import digest_json, disk_errors, read_json, write_json
from underdog.artifacts.runs import MODEL, RECORD
from underdog.artifacts.store import Artifact, Store, load
from underdog.errors import UserError, did_you_mean
from underdog.lanes import cores
from underdog.recipe.schema import Recipe
from underdog.stages.order import MAIN_LINE, Stage, stages
from underdog.stages.together import make, use_cores
from underdog.text.sources import check_sources
from underdog.verify.sandbox.choose import choose_sandbox

STORE = "store"


class Reporter(Protocol):
    """What a person sees of a run."""

    def begin(self, stage: str) -> None: ...

    def progress(self, done: float, total: float, note: str) -> None: ...

    def end(self, stage: str, artifact: Artifact, reused: bool) -> None: ...


@dataclass
class Run:
    """The artifacts of one recipe, by stage."""

    recipe: Recipe
    folder: Path
    artifacts: dict[str, Artifact] = field(default_factory=dict)

    @property
    def model(self) -> Artifact:
        """The last checkpoint of the main line."""
        return self.artifacts[self.last]

    @property
    def last(self) -> str:
        """The stage that made it."""
        return next(stage for stage in reversed(MAIN_LINE) if stage in self.artifacts)


def run_folder(recipe: Recipe, root: Path) -> Path:
    """runs/<name>-<key>: the same recipe always has the same folder."""
    return root / f"{recipe.name}-{digest_json(recipe.model_dump(by_alias=True))[:6]}"


def run_recipe(recipe: Recipe, root: Path, reporter: Reporter, until: str = "export", on: str = "here") -> Run:
    """Runs the stages up to `until`; what is there already is not made again. `on`: see `stages`."""
    run = Run(recipe, run_folder(recipe, root))
    store = Store(root / STORE)
    _check_inputs(recipe)
    if until == "export" and recipe.export.formats:
        from underdog.tokens.gguf import check_installed  # what listing runs need not wait for

        check_installed(recipe.export.formats)
    for stage in stages(recipe, on):
        parents = {name: run.artifacts[name] for name in stage.parents}
        reporter.begin(stage.name)
        use_cores(recipe.threads or cores(), stage.shared)
        artifact, reused = make(
            store,
            stage.kind,
            lambda out, stage=stage, parents=parents: stage.build(parents, out),
            shared=stage.shared,
            version=stage.version,
            settings=stage.settings,
            seed=stage.seed,
            parents=parents,
            on_progress=reporter.progress,
        )
        reporter.end(stage.name, artifact, reused)
        run.artifacts[stage.name] = artifact
        if world.rank() == 0:
            _record(run)
        if stage.name == until:
            break
    return run


def _check_inputs(recipe: Recipe) -> None:
    """Refuses at once what a later stage would not find."""
    choose_sandbox(recipe.problems.sandbox)
    if not recipe.base:
        for setting in ("sources", "reference", "unlike"):
            check_sources(getattr(recipe.curate, setting), f"curate.{setting}")
    elif not (Path(recipe.base) / "config.json").exists():
        raise UserError(
            f"base: {recipe.base} is not a checkpoint: it has no config.json.", hint="Name a Hugging Face folder."
        )


def already_made(recipe: Recipe, root: Path, until: str) -> dict[str, Artifact]:
    """The artifacts of the stages up to `until` that are there; the first that is missing ends the search."""
    store, made = Store(root / STORE), {}
    for stage in stages(recipe):
        if any(name not in made for name in stage.parents):
            break
        if artifact := store.find(stage.kind, _key(store, stage, made)):
            made[stage.name] = artifact
        if stage.name == until:
            break
    return made


def log_so_far(run: Run, name: str) -> list[dict[str, Any]]:
    """What a stage of a run has logged, finished or not; nothing where it has not begun."""
    if name in run.artifacts:
        return run.artifacts[name].log()
    store = Store(run.folder.parent / STORE)
    for stage in stages(run.recipe):
        if stage.name == name and all(parent in run.artifacts for parent in stage.parents):
            return store.log_so_far(stage.kind, _key(store, stage, run.artifacts))
    return []


def _key(store: Store, stage: Stage, made: Mapping[str, Artifact]) -> str:
    parents = {name: made[name] for name in stage.parents}
    return store.key(stage.kind, stage.version, stage.settings, stage.seed, parents)


def check_stage(recipe: Recipe, name: str) -> None:
    """Refuses a stage that the recipe does not have."""
    names = [stage.name for stage in stages(recipe)]
    if name not in names:
        raise UserError(f'The recipe has no stage "{name}".', hint=did_you_mean(name, names))


def _record(run: Run) -> None:
    """Writes run.json, and the link to the exported model once it is there."""
    made = {name: artifact.path.name for name, artifact in run.artifacts.items()}
    with disk_errors(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
        artifacts = {**made, **_made_before(run.folder, made)}
        write_json(run.folder / RECORD, {"recipe": run.recipe.model_dump(by_alias=True), "artifacts": artifacts})
        if "export" in run.artifacts:
            link = run.folder / MODEL
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(run.artifacts["export"].path / "huggingface", run.folder))


def _made_before(folder: Path, made: dict[str, str]) -> dict[str, str]:
    """What is on record already, as far as it follows from what was made now and is still there: a run that stops
    early hides nothing of the one before."""
    try:
        before = dict(read_json(folder / RECORD)["artifacts"])
    except (UserError, KeyError, TypeError, ValueError):
        return {}
    still = takewhile(lambda name: (folder.parent / STORE / before[name]).is_dir(), before)
    return {name: before[name] for name in still} if made.items() <= before.items() else {}


def open_run(folder: Path) -> Run:
    """Reads a run back from its folder."""
    if not (folder / RECORD).exists():
        raise UserError(f"{folder} is not a run: it has no {RECORD}.", hint="underdog runs list shows what there is.")
    record = read_json(folder / RECORD)
    try:
        recipe = Recipe.model_validate(record["recipe"])
        names = dict(record["artifacts"])
    except (KeyError, TypeError, ValueError) as problem:
        raise UserError(
            f"{folder / RECORD} is not a record that this version of Underdog wrote.",
            hint="Remove it and run the recipe again: nothing that is there is made anew.",
        ) from problem
    store = folder.parent / STORE
    return Run(recipe, folder, {name: load(store / path, verify=False) for name, path in names.items()})
