"""Held-out problems with what the model answered: a fair handful, chosen by rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from underdog.artifacts.samples import read_samples
from underdog.report.table import LOOKS, Artifacts, label
from underdog.tokens.chat import split_reasoning

LONGEST = 700  # characters of a prompt or of an answer's reasoning
SHOWN = {"won": 3, "lost": 2, "wrong": 2, "right": 2}  # problems of each kind; the first by id
KINDS = {
    "won": "won: wrong before, right after",
    "lost": "lost: right before, wrong after",
    "wrong": "wrong both times",
    "right": "right both times",
}


@dataclass(frozen=True)
class Answered:
    """A greedy answer, taken apart for reading."""

    reasoning: str
    answer: str
    right: bool
    verdict: str
    sampled: str  # "5 of 8 samples right"


@dataclass(frozen=True)
class Sample:
    kind: str
    task: str
    prompt: str
    answers: Sequence[Answered]  # one a stage shown


@dataclass(frozen=True)
class Samples:
    stages: Sequence[tuple[str, str]]  # (stage, label) of the columns
    counts: Mapping[str, int]  # problems by kind
    chosen: Sequence[Sample]


def choose(artifacts: Artifacts) -> Samples | None:
    """The same problems after SFT and after reinforcement; after the last stage that was looked at, if alone.

    Of each kind in SHOWN the first by problem id: ids are digests, so this is a blind draw, and the same each time.
    """
    looks = {stage: artifacts[LOOKS + stage] for stage in ("sft", "reinforce") if LOOKS + stage in artifacts}
    read = {stage: read_samples(look) for stage, look in looks.items()}
    stages = [stage for stage, records in read.items() if records]
    if not stages:
        return None
    ids = sorted(set.intersection(*(set(read[stage]) for stage in stages)))
    kinds: dict[str, list[str]] = {kind: [] for kind in SHOWN}
    for name in ids:
        kinds[_kind([_right(read[stage][name]) for stage in stages])].append(name)
    chosen = [
        Sample(
            kind if len(stages) > 1 else "",
            read[stages[0]][name]["task"],
            _clipped(read[stages[0]][name]["prompt"]),
            [_answered(read[stage][name]) for stage in stages],
        )
        for kind, most in SHOWN.items()
        for name in kinds[kind][:most]
    ]
    return Samples([(stage, label(stage)) for stage in stages], {k: len(v) for k, v in kinds.items()}, chosen)


def _kind(right: Sequence[bool]) -> str:
    if right[0] == right[-1]:
        return "right" if right[0] else "wrong"
    return "won" if right[-1] else "lost"


def _right(record: Mapping[str, Any]) -> bool:
    return record["greedy_reward"] >= 1


def _answered(record: Mapping[str, Any]) -> Answered:
    reasoning, answer = split_reasoning(record["greedy"])
    rewards = record["sampled_rewards"]
    return Answered(
        _clipped((reasoning or "").strip()),
        _clipped(answer),
        _right(record),
        record["verdict"],
        f"{sum(reward >= 1 for reward in rewards)} of {len(rewards)} samples right",
    )


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
