"""Which stages a recipe has, what each of them reads, and in which order they run."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from underdog.artifacts.store import Artifact, Draft
from underdog.lanes import cores
from underdog.recipe.reinforcement import BUILT_IN
from underdog.recipe.schema import Curate, Recipe
from underdog.seeds import derive
from underdog.stages.together import Shared, strategy_for, strategy_for_policy
from underdog.text.sources import expand
from underdog.verify.problem_files import read_problems

MAIN_LINE = ("base", "pretrain", "sft", "distill", "reinforce")
"""Stages that end in a checkpoint, each learning from the one before; each is followed by its evaluation."""


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
    shared: Shared = Shared.NOT  # by the processes of a run

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
    line = ["base" if r.base else "pretrain"]  # the main line so far
    taught = {**r.sft.model_dump(), **precision, "contents": fingerprint(file_sources(r.sft.data))}
    yield Stage(
        "sft",
        taught,
        (line[-1], "problems"),
        lambda p, out: sft(r.sft, r.sft.steps, seed("sft"), p[line[0]], p["problems"], out, strategy_for(r.compute)),
        seed("sft"),
        shared=Shared.SLICES,
    )
    yield evaluation("sft")
    line.append("sft")
    if r.distill.steps:
        yield Stage(
            "distill",
            {**r.distill.model_dump(), "contents": fingerprint([r.distill.teacher])},
            ("sft", "problems"),
            lambda p, out: distill(r.distill, seed("distill"), p["sft"], p["problems"], out),
            seed("distill"),
        )
        yield evaluation("distill")
        line.append("distill")
    if r.reinforce.steps:
        learner = line[-1]
        yield Stage(
            "reinforce",
            r.reinforce.model_dump(),
            (learner, "problems"),
            lambda p, out: reinforce(
                r.reinforce,
                seed("reinforce"),
                p[learner],
                p["problems"],
                out,
                strategy_for_policy(r.compute, r.reinforce.engine),
            ),
            seed("reinforce"),
            shared=Shared.COPIES if r.reinforce.engine == BUILT_IN else Shared.SLICES,
        )
        yield evaluation("reinforce")
        line.append("reinforce")
    *_, learner, last = line
    if r.control.enabled and last != "sft":
        yield Stage(
            "control",
            taught,
            (*dict.fromkeys(("sft", learner)), last, "problems"),
            lambda p, out: sft(
                r.sft,
                steps_of_same_time(p["sft"], p[last]),
                seed("control"),
                p[learner],
                p["problems"],
                out,
                strategy_for(r.compute),
            ),
            seed("control"),
            shared=Shared.SLICES,
        )
        yield evaluation("control")
    yield Stage("export", r.export.model_dump(), (last,), lambda p, out: export(r.export, p[last], out))


def last_evaluation(recipe: Recipe) -> str:
    """The stage that judges the model that a recipe ends in."""
    names = [stage.name for stage in stages(recipe)]
    return next(name for name in reversed(names) if name in {f"evaluate-{stage}" for stage in MAIN_LINE})


def _pretraining(r: Recipe, precision: dict[str, str], seed: int, on: str) -> Iterator[Stage]:
    """The stages from raw text to a base model."""
    from underdog.stages.pretrain import pretrain
    from underdog.stages.tokenize import tokenize

    yield Stage(
        "curate",
        {**r.curate.model_dump(), "contents": fingerprint(expand(r.curate.sources + _examples(r.curate)))},
        ("problems",),
        lambda p, out: _curate(r, p["problems"], out, on),
        version=3,
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
        shared=Shared.SLICES,
    )


def _curate(recipe: Recipe, problems: Artifact, out: Draft, on: str) -> None:
    from underdog.stages.curate import curate  # brings compiled kernels along, which only this stage needs

    curate(recipe.curate, held_out_texts(problems), out, recipe.threads or cores(), on)


def steps_of_same_time(sft: Artifact, other: Artifact) -> int:
    """How many more steps of SFT take the time that another stage took, from both manifests."""
    return max(1, round(sft.metrics["steps"] * other.seconds / sft.seconds))


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
