"""The sections of the card, in the order of the story: artifacts in, plain values and plots for the template out.

A section whose artifacts are missing is None, and the card goes on without it.
"""

from collections.abc import Mapping
from typing import Any

from underdog.artifacts.store import Artifact
from underdog.recipe.schema import Recipe
from underdog.report import plot_pretrain
from underdog.report.plot_accuracy import accuracy_dots
from underdog.report.plot_reinforce import panels, pass_rates
from underdog.report.plot_text import correlation_matrix, signal_histogram
from underdog.report.table import LOOKS, Artifacts, Row, difference, held_out_loss, label, summary_rows
from underdog.synthesis.refine import GIVEN
from underdog.synthesis.work import read_records
from underdog.text.tiers import TIERS

Section = dict[str, Any] | None
LONGEST = 300  # characters of an example
_PLACES = (*TIERS, "dropped")
_LADDER = ("pretrain", "sft", "distill", "control", "reinforce")  # the control stands between what it is compared with


def text(curated: Artifact | None) -> Section:
    """Funnel, tiers, sources, signals, examples."""
    if curated is None:
        return None
    metrics = curated.metrics
    tiers = metrics.get("tiers", {})
    return {
        "funnel": metrics.get("funnel", []),
        "tiers": {place: tiers[place] for place in _PLACES if place in tiers},
        "kept": sum(tiers[tier]["documents"] for tier in TIERS if tier in tiers),
        "sources": {name: _shares(counts) for name, counts in metrics.get("sources", {}).items()},
        "signals": [
            {
                "name": _said(name),
                **signal,
                "svg": signal_histogram(name, signal["deciles"]),
            }
            for name, signal in metrics.get("signals", {}).items()
        ],
        "correlations": _correlations(metrics),
        "redundant": metrics.get("redundant", []),
        "agreement": metrics.get("agreement", {}),
        "deciles": metrics.get("deciles", {}),
        "examples": {place: metrics["examples"][place] for place in _PLACES if metrics.get("examples", {}).get(place)},
    }


def _correlations(metrics: Mapping[str, Any]) -> str | None:
    if not metrics.get("correlations"):
        return None
    return correlation_matrix([_said(name) for name in metrics["signals"]], metrics["correlations"])


def _said(signal: str) -> str:
    return signal.replace("non_", "non-").replace("_", " ").capitalize()


def _shares(counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """A source's characters, and the share of them in each tier."""
    total = sum(count["characters"] for count in counts.values())
    found = {place: counts[place]["characters"] / total for place in _PLACES if total and place in counts}
    return {"characters": total, "shares": found}


def pretraining(recipe: Recipe, trained: Artifact | None) -> Section:
    """What is read, from the recipe alone, and what that did to the loss."""
    plan, phases = plot_pretrain.plan(recipe) if recipe.pretrain.phase else (None, [])
    if not (plan or trained):
        return None
    metrics = trained.metrics if trained else {}
    return {
        "plan": plan,
        "phases": phases,
        "loss": plot_pretrain.loss(trained.log(), phases) if trained else None,
        "tokens": metrics.get("tokens"),
        "held_out": held_out_loss(trained) if trained else None,
        "speed": metrics.get("tokens_per_second"),
    }


def synthesis(artifacts: Artifacts) -> list[dict[str, Any]]:
    """What teachers made of the rows that SFT reads: how they ended, what failed, what it cost, one of each ending."""
    found = []
    for stage in ("refine", "reconstruct"):
        if made := artifacts.get(stage):
            m = made.metrics
            spoken: dict[str, Any] = {}
            for record in read_records(made.path):
                spoken.setdefault(record["ended"], record)
            found.append(
                {
                    "label": label(stage),
                    **{name: m[name] for name in ("rows", "taught", "ended", "failed", "asked", "money", "set_aside")},
                    "score": m.get("score", {}),
                    "rounds": m.get("rounds"),
                    "tokens": m["tokens_read"] + m["tokens_written"],
                    "examples": [_example(record) for record in spoken.values()],
                }
            )
    return found


def _example(record: Mapping[str, Any]) -> dict[str, str]:
    """One record, shortened: the question, the answer that it began with, and what came of it."""
    drafts = record.get("drafts", ())
    given = record.get("answer") or next((one["text"] for one in drafts if one["by"] == GIVEN), "")
    made = record.get("chain") or record.get("final") or ""
    why = record.get("reason") or record.get("led_to") or ""
    texts = {"asked": record["instruction"], "given": given, "made": made, "why": why}
    return {"ended": record["ended"], **{name: text[:LONGEST] for name, text in texts.items()}}


def accuracy(artifacts: Artifacts) -> Section:
    """Dots by stage, tasks by stage, and what reinforcement is worth."""
    rows = {row.stage: row for row in summary_rows(artifacts) if row.sampled}
    stages = [stage for stage in _LADDER if stage in rows] + [stage for stage in rows if stage not in _LADDER]
    if not stages:
        return None
    looks = {stage: artifacts[LOOKS + stage] for stage in stages}
    chance = next((look.metrics["chance"] for look in looks.values() if "chance" in look.metrics), None)
    shown: list[Row] = [rows[stage] for stage in stages]
    return {
        "svg": accuracy_dots(shown, chance),
        "problems": next(iter(looks.values())).metrics.get("problems"),
        "samples": next(iter(looks.values())).metrics.get("samples"),
        "best": rows.get("reinforce", shown[-1]),
        "taught": _taught(artifacts.get("problems")),
        "gains": _gains(looks),
        "tasks": _tasks(artifacts, looks, chance),
        "stages": [(stage, label(stage)) for stage in stages],
    }


def _taught(problems: Artifact | None) -> dict[str, int] | None:
    """How many problems training could learn from, over all tasks, and how many rows could not be judged."""
    counts = list(problems.metrics.get("counts", {}).values()) if problems else []
    total = {split: sum(task.get(split, 0) for task in counts) for split in ("demonstrations", "train")}
    return {**total, "rejected": sum(problems.metrics.get("rejected", {}).values())} if counts else None


def _gains(looks: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """Reinforcement against what it started from and against the control, problem by problem."""
    others = {"sft": label("sft"), "control": "the same time of more SFT"}
    pairs = [(over, looks[stage]) for stage, over in others.items() if stage in looks and "reinforce" in looks]
    gains = [{"over": over, "interval": difference(look, looks["reinforce"])} for over, look in pairs]
    return [gain for gain in gains if gain["interval"]]


def _tasks(artifacts: Artifacts, looks: Mapping[str, Artifact], chance: float | None) -> list[dict[str, Any]]:
    """Sampled accuracy by task and stage; the last rows are all tasks, and the chance that any sample is right."""
    guess = artifacts["problems"].metrics.get("chance", {}) if "problems" in artifacts else {}
    tasks = sorted({task for look in looks.values() for task in look.metrics.get("by_task", {})})

    def row(name: str, chance: float | None, values: dict[str, float | None], kind: str) -> dict[str, Any]:
        before, after = values.get("sft"), values.get("reinforce")
        gain = after - before if before is not None and after is not None else None
        return {"name": name, "chance": chance, "values": values, "gain": gain, "kind": kind}

    rows = [
        row(
            task.replace("_", " "),
            guess.get(task),
            {s: look.metrics.get("by_task", {}).get(task, {}).get("sampled") for s, look in looks.items()},
            "task",
        )
        for task in tasks
    ]
    rows.append(row("all", chance, {s: look.metrics["sampled"]["mean"] for s, look in looks.items()}, "all"))
    samples = next(iter(looks.values())).metrics.get("samples")
    anyone = {stage: look.metrics.get("any_of_samples") for stage, look in looks.items()}
    if any(value is not None for value in anyone.values()):
        rows.append(row(f"any of {samples}", None, anyone, "any"))
    return rows


def reinforcement(trained: Artifact | None) -> Section:
    """The panels, when the reference policy was reset, how the problems were sorted, what could not be judged, and
    answers of the last look."""
    if trained is None or not (shown := panels(log := trained.log())):
        return None
    return {
        "panels": shown,
        "steps": trained.metrics.get("steps"),
        "resets": [record for record in log if "reset" in record],
        "pools": [{**record, "svg": pass_rates(record)} for record in log if "pool" in record],
        "unjudged": {
            name: sum(record.get(f"verifier_{name}", 0) for record in log) for name in ("timed_out", "crashed")
        },
        "rollouts": [record for record in log if "rollouts" in record][-1:],
    }


def files(exported: Artifact | None) -> Section:
    """What to take home: sizes, and how near each file stays to the checkpoint."""
    if exported is None:
        return None
    near = exported.metrics.get("against_checkpoint", {})
    written = {name: {"bytes": size, **near.get(name, {})} for name, size in exported.metrics.get("bytes", {}).items()}
    return written | {name: {"warning": why} for name, why in exported.metrics.get("warnings", {}).items()}


def lineage(artifacts: Artifacts) -> list[dict[str, Any]]:
    """Every artifact with what it was made from."""
    names = {artifact.path.name: stage for stage, artifact in artifacts.items()}

    def parents(artifact: Artifact) -> list[str]:
        return [names.get(folder, folder) for folder in artifact.manifest["parents"].values()]

    return [
        {
            "stage": stage,
            "key": artifact.key,
            "parents": parents(artifact),
            "seconds": artifact.seconds,
            "bytes": sum(entry["bytes"] for entry in artifact.manifest["files"].values()),
        }
        for stage, artifact in artifacts.items()
    ]
