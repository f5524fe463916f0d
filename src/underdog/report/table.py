"""The result of a run as plain data: what the terminal prints at the end and the card shows on top."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean

from underdog.artifacts.samples import accuracies, read_samples
from underdog.artifacts.store import Artifact
from underdog.report.words import SPACE, clock, percent, short, spoken
from underdog.stages.difference import gains, mean_interval

LOOKS = "evaluate-"  # an evaluation is named by the stage it looks at: "evaluate-sft"
LABELS = {
    "problems": "Problems",
    "curate": "Text",
    "tokenize": "Tokenizer",
    "base": "Base",
    "pretrain": "Pretraining",
    "refine": "Refined answers",
    "chains": "Chains to learn from",
    "chain-model": "Chain-completion model",
    "reconstruct": "Reconstructed reasoning",
    "sft": "SFT",
    "distill": "Distillation",
    "reinforce": "Reinforcement",
    "control": "Control: more SFT",
    "evaluate": "Evaluation",
    "export": "Export",
}
_NOT_MAKING = ("control", "evaluate", "export")  # rows whose time did not go into the model itself

Artifacts = Mapping[str, Artifact]
"""A run's artifacts by stage name, in the order in which they were made; any of them may be missing."""


@dataclass(frozen=True)
class Interval:
    """An accuracy (0..1) and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """ "47.0 % [44.1, 49.8]"."""
        return f"{percent(self.mean)} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True)
class Row:
    """One stage of the summary."""

    stage: str
    label: str
    seconds: float
    sampled: Interval | None = None  # pass@1 at temperature 1
    greedy: Interval | None = None
    held_out_loss: float | None = None  # nats a token on good text that no phase read

    def cells(self) -> tuple[str, ...]:
        """Stage, time, pass@1 sampled, greedy, held-out loss as a terminal shows them."""
        loss = "" if self.held_out_loss is None else f"{self.held_out_loss:.3f}"
        return self.label, clock(self.seconds), str(self.sampled or ""), str(self.greedy or ""), loss


def label(stage: str) -> str:
    """A stage as people call it."""
    return LABELS.get(stage, stage.replace("-", " ").capitalize())


def summary_rows(artifacts: Artifacts) -> list[Row]:
    """One row a stage, in the order of the run; all evaluations share the last one."""
    rows = []
    looking = 0.0
    for stage, artifact in artifacts.items():
        if stage.startswith(LOOKS):
            looking += artifact.seconds
        else:
            look = artifacts[LOOKS + stage].metrics if LOOKS + stage in artifacts else {}
            rows.append(
                Row(
                    stage,
                    label(stage),
                    artifact.seconds,
                    _interval(look.get("sampled")),
                    _interval(look.get("greedy")),
                    held_out_loss(artifact),
                )
            )
    return [*rows, Row("evaluate", label("evaluate"), looking)] if looking else rows


def held_out_loss(artifact: Artifact) -> float | None:
    """The loss after the last phase."""
    by_phase = artifact.metrics.get("held_out_loss")
    return list(by_phase.values())[-1] if by_phase else None


def sentence(artifacts: Artifacts) -> str:
    """The run in one sentence: how large, how long, how good, against what."""
    if not artifacts:
        return "Nothing made yet."
    rows = {row.stage: row for row in summary_rows(artifacts)}
    return ", ".join(_effort(artifacts, rows.values())) + ": " + _outcome(artifacts, rows) + "."


def _effort(artifacts: Artifacts, rows: Iterable[Row]) -> list[str]:
    parts = []
    if "pretrain" in artifacts and "parameters" in artifacts["pretrain"].metrics:
        parts.append(f"{short(artifacts['pretrain'].metrics['parameters'])} parameters")
    time = spoken(sum(row.seconds for row in rows if row.stage not in _NOT_MAKING))
    lanes = max((artifact.manifest.get("lanes", 0) for artifact in artifacts.values()), default=0)
    cores = f"{lanes}{SPACE}CPU{SPACE}core{'s' if lanes > 1 else ''}"
    return [*parts, f"{time} on {cores}" if lanes else time]


def _outcome(artifacts: Artifacts, rows: Mapping[str, Row]) -> str:
    looked = {stage: row.sampled.mean for stage, row in rows.items() if row.sampled}
    made = [stage for stage in looked if stage != "control"]
    if "reinforce" in looked and len(made) > 1:
        before = looked[made[made.index("reinforce") - 1]]
        text = f"pass@1 {percent(before, 0)} → {percent(looked['reinforce'], 0)} by reinforcement"
        if "control" in looked:
            text += f", against {percent(looked['control'], 0)} for the same time of more SFT"
        return text
    if made:
        return f"pass@1 {percent(looked[made[-1]], 0)} after {_plain(made[-1])}"
    losses = [row.held_out_loss for row in rows.values() if row.held_out_loss is not None]
    if losses:
        return f"held-out loss {losses[-1]:.2f} after {short(artifacts['pretrain'].metrics['tokens'])} tokens"
    return f"{_plain(list(rows)[-1])} done, no model yet"


def _plain(stage: str) -> str:
    """A label inside a sentence."""
    name = label(stage)
    return name if name.isupper() else name.lower()


def difference(before: Artifact, after: Artifact) -> Interval | None:
    """How much more of the same problems `after` solves; pairing by problem makes the interval narrow.

    Normal approximation over problems; None where the two share fewer than two.
    """
    found = gains(*([accuracies(read_samples(look), "sampled")] for look in (before, after)))
    bounds = mean_interval(found)
    return Interval(mean(found), *bounds) if bounds else None


def _interval(metric: Mapping[str, float] | None) -> Interval | None:
    return Interval(metric["mean"], metric["low"], metric["high"]) if metric else None
