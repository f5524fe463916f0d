"""A whole recipe: which stage reads what, in which order, and the folder of the run."""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

from underdog import world
from underdog.artifacts.files import digest_json, disk_errors, read_json, write_json
from underdog.artifacts.store import Artifact, Draft, Store, load
from underdog.errors import UserError, did_you_mean
from underdog.recipe.schema import Curate, Recipe
from underdog.seeds import derive
from underdog.stages.together import make, strategy_for, use_cores
from underdog.text.sources import expand
from underdog.verify.problem_files import read_problems
from underdog.verify.sandbox.choose import choose_sandbox

STORE = "store"
RECORD = "run.json"
TRAINED = ("base", "pretrain", "sft", "distill", "reinforce", "control")
"""Stages that end in a checkpoint; each is followed by its evaluation."""


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
        return next(
            self.artifacts[stage]
            for stage in ("reinforce", "distill", "sft", "pretrain", "base")
            if stage in self.artifacts
        )


def run_folder(recipe: Recipe, root: Path) -> Path:
    """runs/<name>-<key>: the same recipe always has the same folder."""
    return root / f"{recipe.name}-{digest_json(recipe.model_dump(by_alias=True))[:6]}"


def run_recipe(recipe: Recipe, root: Path, reporter: Reporter, until: str = "export", on: str = "here") -> Run:
    """Runs the stages up to `until`; what is there already is not made again. `on`: see `stages`."""
    run = Run(recipe, run_folder(recipe, root))
    store = Store(root / STORE)
    choose_sandbox(recipe.problems.sandbox)
    for stage in stages(recipe, on):
        parents = {name: run.artifacts[name] for name in stage.parents}
        reporter.begin(stage.name)
        use_cores(recipe.threads or os.cpu_count() or 1, stage.distributed)
        artifact, reused = make(
            store,
            stage.kind,
            lambda out, stage=stage, parents=parents: stage.build(parents, out),
            distributed=stage.distributed,
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


def already_made(recipe: Recipe, root: Path, until: str) -> dict[str, Artifact]:
    """The artifacts of the stages up to `until` that are there; the first that is missing ends the search."""
    store, made = Store(root / STORE), {}
    for stage in stages(recipe):
        if any(name not in made for name in stage.parents):
            break
        parents = {name: made[name] for name in stage.parents}
        key = store.key(stage.kind, stage.version, stage.settings, stage.seed, parents)
        if artifact := store.find(stage.kind, key):
            made[stage.name] = artifact
        if stage.name == until:
            break
    return made


def check_stage(recipe: Recipe, name: str) -> None:
    """Refuses a stage that the recipe does not have."""
    names = [stage.name for stage in stages(recipe)]
    if name not in names:
        raise UserError(f'The recipe has no stage "{name}".', hint=did_you_mean(name, names))


@dataclass(frozen=True)
class Stage:
    """One stage of a recipe: what it reads, and the function that makes its artifact."""

    name: str
    settings: Any
    parents: tuple[str, ...]
    build: Callable[[dict[str, Artifact], Draft], None]
    seed: int | None = None
    kind: str = ""  # artifacts of the same kind share keys: an evaluation is one, whatever it evaluates
    version: int = 1  # raised when the code changes what the same settings make
    distributed: bool = False  # computed by all processes of a run; rank 0 alone makes the others

    def __post_init__(self):
        object.__setattr__(self, "kind", self.kind or self.name)


def stages(recipe: Recipe, on: str = "here") -> Iterator[Stage]:
    """The stages of a recipe in the order in which they run. `on` says where curation finds its workers."""
    from underdog.stages.base import base
    from underdog.stages.distill import distill
    from underdog.stages.evaluate import evaluate
    from underdog.stages.export import export
    from underdog.stages.problems import problems
    from underdog.stages.reinforce import reinforce
    from underdog.stages.sft import sft

    r = recipe
    precision = {"precision": r.compute.precision}  # of what says how to compute, all that changes a result

    def seed(stage: str) -> int:
        return derive(r.seed, stage)

    def evaluation(stage: str) -> Stage:
        return Stage(
            f"evaluate-{stage}",
            r.evaluate.model_dump(),
            (stage, "problems"),
            lambda p, out: evaluate(r.evaluate, seed("evaluate"), p[stage], p["problems"], out),
            seed("evaluate"),
            kind="evaluate",
        )

    yield Stage(
        "problems",
        {**r.problems.model_dump(exclude={"sandbox"}), "contents": fingerprint(r.problems.files)},
        (),
        lambda p, out: problems(r.problems, r.problems.seed, out),
    )
    if r.base:
        yield Stage(
            "base", {"folder": r.base, "contents": fingerprint([r.base])}, (), lambda p, out: base(Path(r.base), out)
        )
        yield evaluation("base")
    else:
        yield from _pretraining(r, precision, seed("pretrain"), on)
        yield evaluation("pretrain")
    start = "base" if r.base else "pretrain"
    taught = {**r.sft.model_dump(), **precision, "contents": fingerprint(file_sources(r.sft.data))}
    yield Stage(
        "sft",
        taught,
        (start, "problems"),
        lambda p, out: sft(r.sft, r.sft.steps, seed("sft"), p[start], p["problems"], out, strategy_for(r.compute)),
        seed("sft"),
        distributed=True,
    )
    yield evaluation("sft")
    last = "sft"
    if r.distill.steps:
        yield Stage(
            "distill",
            {**r.distill.model_dump(), "contents": fingerprint([r.distill.teacher])},
            ("sft", "problems"),
            lambda p, out: distill(r.distill, seed("distill"), p["sft"], p["problems"], out),
            seed("distill"),
        )
        yield evaluation("distill")
        last = "distill"
    learner = last  # what reinforcement starts from
    if r.reinforce.steps:
        yield Stage(
            "reinforce",
            r.reinforce.model_dump(),
            (learner, "problems"),
            lambda p, out: reinforce(r.reinforce, seed("reinforce"), p[learner], p["problems"], out),
            seed("reinforce"),
        )
        yield evaluation("reinforce")
        if r.control.enabled:
            yield Stage(
                "control",
                taught,
                (*dict.fromkeys(("sft", learner)), "reinforce", "problems"),
                lambda p, out: sft(
                    r.sft,
                    steps_of_same_time(p["sft"], p["reinforce"]),
                    seed("control"),
                    p[learner],
                    p["problems"],
                    out,
                    strategy_for(r.compute),
                ),
                seed("control"),
                distributed=True,
            )
            yield evaluation("control")
        last = "reinforce"
    yield Stage("export", r.export.model_dump(), (last,), lambda p, out: export(r.export, p[last], out))


def _pretraining(r: Recipe, precision: dict[str, str], seed: int, on: str) -> Iterator[Stage]:
    """The stages from raw text to a base model."""
    from underdog.stages.pretrain import pretrain
    from underdog.stages.tokenize import tokenize

    yield Stage(
        "curate",
        {**r.curate.model_dump(), "contents": fingerprint(expand(r.curate.sources + _examples(r.curate)))},
        ("problems",),
        lambda p, out: _curate(r, p["problems"], out, on),
        version=2,
    )
    yield Stage(
        "tokenize",
        r.tokenizer.model_dump(),
        ("curate", "problems"),
        lambda p, out: tokenize(r.tokenizer, p["curate"], p["problems"], out),
    )
    yield Stage(
        "pretrain",
        {"pretrain": r.pretrain.model_dump(by_alias=True), "model": r.model.model_dump(), **precision},
        ("tokenize",),
        lambda p, out: pretrain(r.pretrain, r.model, seed, p["tokenize"], out, strategy_for(r.compute)),
        seed,
        distributed=True,
    )


def _curate(recipe: Recipe, problems: Artifact, out: Draft, on: str) -> None:
    from underdog.stages.curate import curate  # brings compiled kernels along, which only this stage needs

    curate(recipe.curate, held_out_texts(problems), out, recipe.threads or os.cpu_count() or 1, on)


def steps_of_same_time(sft: Artifact, reinforce: Artifact) -> int:
    """How many more steps of SFT take the time that reinforcement took, from both manifests."""
    return max(1, round(sft.metrics["steps"] * reinforce.seconds / sft.seconds))


def held_out_texts(problems: Artifact) -> dict[str, str]:
    """The problems that no training text may contain, by id."""
    held_out = [p for split in ("validation", "test") for p in read_problems(problems.path / f"{split}.jsonl")]
    return {problem.id: problem.prompt[-1].content for problem in held_out}


def file_sources(data: Sequence[str]) -> list[str]:
    """Of what SFT reads, the user's files."""
    return [source for source in data if source != "demonstrations"]


def _examples(curate: Curate) -> list[str]:
    """Files beside the sources that the judge learns from."""
    return [*curate.reference, *curate.unlike, *([curate.labels] if curate.labels else [])]


def fingerprint(sources: Sequence[str]) -> list[Any]:
    """What the user's files are like now, so that changed files are read anew. Built-in corpora hang on Python."""
    found: list[Any] = []
    for source in sources:
        path = Path(source).expanduser()
        paths = [str(path)] if path.exists() else sorted(glob(str(path), recursive=True))
        folders = [path for path in map(Path, paths) if path.is_dir()]
        files = [*map(Path, paths), *(file for folder in folders for file in sorted(folder.rglob("*")))]
        found += [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]
    return [*found, platform.python_version()]


def _record(run: Run) -> None:
    """Writes run.json, and the link to the exported model once it is there."""
    made = {name: artifact.path.name for name, artifact in run.artifacts.items()}
    with disk_errors(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
        artifacts = {**made, **_made_before(run.folder, made)}
        write_json(run.folder / RECORD, {"recipe": run.recipe.model_dump(by_alias=True), "artifacts": artifacts})
        if "export" in run.artifacts:
            link = run.folder / "model"
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
        raise UserError(f"{folder} is not a run: it has no {RECORD}.", hint="underdog runs lists the runs.")
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
