"""Which stages a recipe has, what each of them reads, and in which order they run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from underdog.artifacts.store import Artifact, Draft
from underdog.lanes import cores
from underdog.recipe.reinforcement import BUILT_IN
from underdog.recipe.schema import Curate, Recipe
from underdog.recipe.synthesis import BASE, OWN, UNKEYED, Asking
from underdog.recipe.teaching import Sft
from underdog.seeds import derive
from underdog.stages.contents import file_sources, fingerprint, model_files
from underdog.stages.together import Shared, strategy_for, strategy_for_policy
from underdog.text.sources import expand
from underdog.tokens.conversation_files import ROWS
from underdog.verify.problem_files import read_problems

MAIN_LINE = ("base", "pretrain", "sft", "distill", "reinforce")
"""Stages that end in a checkpoint, each learning from the one before; each is followed by its evaluation."""
CHAIN_MODEL = "chain-model"


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
    yield _problems(recipe)
    if recipe.base:
        line = ["base"]  # the main line so far
        yield _base(recipe)
    else:
        line = ["pretrain"]
        yield from _pretraining(recipe, on)
    yield _evaluation(recipe, line[0])
    yield from _synthesis(recipe, line[0])
    yield _sft(recipe, line[0])
    yield _evaluation(recipe, "sft")
    line.append("sft")
    if recipe.distill.steps:
        yield _distill(recipe)
        yield _evaluation(recipe, "distill")
        line.append("distill")
    if recipe.reinforce.steps:
        yield _reinforce(recipe, line[-1])
        yield _evaluation(recipe, "reinforce")
        line.append("reinforce")
    *_, learner, last = line
    if recipe.control.enabled and last != "sft":
        yield _control(recipe, learner, last)
        yield _evaluation(recipe, "control")
    yield _export(recipe, last)


def synthesised(recipe: Recipe) -> tuple[str, ...]:
    """The stage whose rows SFT reads in place of sft.data, where there is one."""
    on = {"reconstruct": recipe.reconstruct.teacher, "refine": recipe.refine.teachers}
    return tuple(name for name in on if on[name])[:1]


def taught_data(data: Sequence[str], made: Mapping[str, Artifact], rows: Sequence[str]) -> list[str]:
    """`data`, or the rows that those stages made of it."""
    return [str(made[name].path / ROWS) for name in rows] or list(data)


def last_evaluation(recipe: Recipe) -> str:
    """The stage that judges the model that a recipe ends in."""
    names = [stage.name for stage in stages(recipe)]
    return next(name for name in reversed(names) if name in {f"evaluate-{stage}" for stage in MAIN_LINE})


def _problems(r: Recipe) -> Stage:
    from underdog.stages.problems import problems

    return Stage(
        "problems",
        {**r.problems.model_dump(exclude={"sandbox"}), "contents": fingerprint(r.problems.files)},
        (),
        lambda p, out: problems(r.problems, r.problems.seed, out),
    )


def _base(r: Recipe) -> Stage:
    from underdog.stages.base import base

    settings = {"folder": r.base, "contents": fingerprint([r.base])}
    return Stage("base", settings, (), lambda p, out: base(Path(r.base), out), version=2)


def _evaluation(r: Recipe, stage: str) -> Stage:
    from underdog.stages.evaluate import evaluate

    seed = derive(r.seed, "evaluate")
    return Stage(
        f"evaluate-{stage}",
        r.evaluate.model_dump(),
        (stage, "problems"),
        lambda p, out: evaluate(r.evaluate, seed, p[stage], p["problems"], out),
        seed,
        kind="evaluate",
        version=2,
    )


def _precision(r: Recipe) -> dict[str, str]:
    """Of what says how to compute, all that changes a result."""
    return {"precision": r.compute.precision}


def _pretraining(r: Recipe, on: str) -> Iterator[Stage]:
    """The stages from raw text to a base model."""
    from underdog.stages.pretrain import pretrain
    from underdog.stages.tokenize import tokenize

    seed = derive(r.seed, "pretrain")
    yield Stage(
        "curate",
        {**r.curate.model_dump(), "contents": fingerprint(expand(r.curate.sources + _examples(r.curate)))},
        ("problems",),
        lambda p, out: _curate(r, p["problems"], out, on),
        version=4,
    )
    yield Stage(
        "tokenize",
        r.tokenizer.model_dump(),
        ("curate", "problems"),
        lambda p, out: tokenize(r.tokenizer, p["curate"], p["problems"], out),
    )
    yield Stage(
        "pretrain",
        {"pretrain": r.pretrain.model_dump(by_alias=True), "model": r.model.model_dump(), **_precision(r)},
        ("tokenize",),
        lambda p, out: pretrain(r.pretrain, r.model, seed, p["tokenize"], out, strategy_for(r.compute)),
        seed,
        shared=Shared.SLICES,
    )


def _synthesis(r: Recipe, base: str) -> Iterator[Stage]:
    """The stages that work on what SFT is to learn. What is asked hangs on their own seeds: the recipe's share it."""
    from underdog.stages.reconstruct import reconstruct
    from underdog.stages.refine import refine

    def asking(settings: Asking, models: Sequence[str]) -> dict[str, Any]:
        """All that shapes the rows."""
        files = fingerprint([*file_sources(r.sft.data), *model_files(models)])
        return {**settings.model_dump(exclude=UNKEYED), "data": r.sft.data, "contents": files}

    def own(models: Sequence[str]) -> dict[str, str]:
        """The stages that make them, by what the settings call them."""
        return {name: stage for name, stage in ((BASE, base), (OWN, CHAIN_MODEL)) if name in models}

    def folders(p: Mapping[str, Artifact], models: Mapping[str, str]) -> dict[str, Path]:
        return {name: p[stage].path for name, stage in models.items()}

    if r.refine.teachers:
        drafting = own(r.refine.models)
        yield Stage(
            "refine",
            asking(r.refine, r.refine.models),
            ("problems", *drafting.values()),
            lambda p, out: refine(r.refine, r.sft.data, p["problems"], folders(p, drafting), out),
            version=2,
        )
    if r.reconstruct.teacher:
        before = ("refine",) if r.refine.teachers else ()
        reasoning = own(r.reconstruct.models)
        if OWN in reasoning:
            yield from _chain_model(r, base)
        yield Stage(
            "reconstruct",
            asking(r.reconstruct, r.reconstruct.models),
            ("problems", *before, *reasoning.values()),
            lambda p, out: reconstruct(
                r.reconstruct, taught_data(r.sft.data, p, before), p["problems"], folders(p, reasoning), out
            ),
            version=2,
        )


def _chain_model(r: Recipe, base: str) -> Iterator[Stage]:
    """What it learns from, and the model: SFT in all but its data and its steps."""
    from underdog.stages.chains import chains
    from underdog.stages.sft import sft

    own, seed = r.reconstruct.own, derive(r.seed, CHAIN_MODEL)
    settings = r.sft.model_copy(
        update={"steps": own.steps, "budget": {}, "stage": [], "reasoning": True, "keep_all_think": False}
    )
    yield Stage(
        "chains",
        {"data": own.data, "contents": fingerprint(file_sources(own.data))},
        ("problems",),
        lambda p, out: chains(own.data, p["problems"], out),
        version=2,
    )
    yield Stage(
        CHAIN_MODEL,
        {**settings.model_dump(exclude={"data"}), **_precision(r)},
        (base, "problems", "chains"),
        lambda p, out: sft(
            _reading(settings, p, ("chains",)), own.steps, seed, p[base], p["problems"], out, strategy_for(r.compute)
        ),
        seed,
        version=2,
        shared=Shared.SLICES,
    )


def _sft(r: Recipe, start: str) -> Stage:
    return _teaching(r, "sft", start, (start,), lambda p: r.sft.steps)


def _control(r: Recipe, learner: str, last: str) -> Stage:
    """More SFT of what `last` learned from, for as long as that took."""
    read = (*dict.fromkeys(("sft", learner)), last)
    return _teaching(r, "control", learner, read, lambda p: steps_of_same_time(p["sft"], p[last]))


def _teaching(
    r: Recipe, name: str, start: str, read: tuple[str, ...], steps: Callable[[dict[str, Artifact]], int]
) -> Stage:
    """SFT by the recipe's settings, from the checkpoint of the stage `start`."""
    from underdog.stages.sft import sft

    rows, seed = synthesised(r), derive(r.seed, name)
    return Stage(
        name,
        {**r.sft.model_dump(), **_precision(r), "contents": fingerprint(file_sources(r.sft.data))},
        (*read, "problems", *rows),
        lambda p, out: sft(
            _reading(r.sft, p, rows), steps(p), seed, p[start], p["problems"], out, strategy_for(r.compute)
        ),
        seed,
        version=2,
        shared=Shared.SLICES,
    )


def _distill(r: Recipe) -> Stage:
    from underdog.stages.distill import distill

    seed = derive(r.seed, "distill")
    return Stage(
        "distill",
        {**r.distill.model_dump(), "contents": fingerprint(model_files([r.distill.teacher]))},
        ("sft", "problems"),
        lambda p, out: distill(r.distill, seed, p["sft"], p["problems"], out),
        seed,
        version=2,
    )


def _reinforce(r: Recipe, learner: str) -> Stage:
    from underdog.stages.reinforce import reinforce

    seed, engine = derive(r.seed, "reinforce"), r.reinforce.engine
    return Stage(
        "reinforce",
        r.reinforce.model_dump(),
        (learner, "problems"),
        lambda p, out: reinforce(
            r.reinforce, seed, p[learner], p["problems"], out, strategy_for_policy(r.compute, engine)
        ),
        seed,
        version=2,
        shared=Shared.COPIES if engine == BUILT_IN else Shared.SLICES,
    )


def _export(r: Recipe, last: str) -> Stage:
    from underdog.stages.export import export

    return Stage("export", r.export.model_dump(), (last,), lambda p, out: export(r.export, p[last], out), version=2)


def _reading(settings: Sft, made: Mapping[str, Artifact], rows: Sequence[str]) -> Sft:
    """The settings, their data being the rows that those stages made."""
    return settings.model_copy(update={"data": taught_data(settings.data, made, rows)})


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


def _examples(curate: Curate) -> list[str]:
    """Files beside the sources that the judge learns from."""
    return [*curate.reference, *curate.unlike, *([curate.labels] if curate.labels else [])]
