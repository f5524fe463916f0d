"""What an evaluation wrote about each test problem."""

import json
import math
from collections.abc import Mapping
from typing import Any

from underdog.artifacts.store import Artifact

SAMPLES = "samples.jsonl"


def read_samples(look: Artifact) -> dict[str, dict[str, Any]]:
    """Its records, by problem id."""
    path = look.path / SAMPLES
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        return {record["problem"]: record for record in map(json.loads, file)}


def accuracies(records: Mapping[str, Mapping[str, Any]], how: str) -> dict[str, float]:
    """By problem id, the mean reward of its answers: "sampled", or that of the "greedy" one."""
    if how == "greedy":
        return {name: one["greedy_reward"] for name, one in records.items()}
    return {name: math.fsum(one["sampled_rewards"]) / len(one["sampled_rewards"]) for name, one in records.items()}
