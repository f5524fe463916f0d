"""What the report tells about a curated corpus: plain numbers and short excerpts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from underdog.text.judge import Judge, Scored
from underdog.text.scores import HIGHEST
from underdog.text.signals import Signal
from underdog.text.tiers import TIERS

DROPPED = "dropped"
EXCERPT = 300  # characters
_EXAMPLES = 3


def describe_signals(
    values: NDArray[np.float64], scores: NDArray[np.int8], signals: Sequence[Signal]
) -> dict[str, dict[str, Any]]:
    """By signal: definition, weight, how many documents have each score 0–9, and the raw values at every
    tenth."""
    return {
        s.name: {
            "definition": s.description,
            "weight": s.weight,
            "histogram": np.bincount(scores[:, k], minlength=HIGHEST + 1).tolist(),
            "deciles": np.quantile(values[:, k], np.linspace(0, 1, 11)).tolist(),
        }
        for k, s in enumerate(signals)
    }


def describe_agreement(scored: Scored, judge: Judge) -> dict[str, Any]:
    """Groups and their sizes, how the signals correlate, which did not count for it, and how well annotator and counts
    agree with labels."""
    return {
        "groups": dict(Counter(scored.groups).most_common()),
        "correlations": scored.correlations.round(3).tolist(),
        "redundant": [vars(found) for found in scored.redundant],
        "agreement": judge.agreement,
    }


def choose_deciles(score: Sequence[float | None]) -> dict[str, list[int]]:
    """The number of the middle document of each tenth: "1" is the worst, "10" the best."""
    order = sorted((value, index) for index, value in enumerate(score) if value is not None)
    return {str(k + 1): [order[(2 * k + 1) * len(order) // 20][1]] for k in range(10)} if len(order) >= 10 else {}


def count_tiers(
    characters: Sequence[int], tokens: Sequence[int], tier: Sequence[str | None]
) -> dict[str, dict[str, int]]:
    """By tier (and "dropped"): documents, characters, and tokens (words and single symbols)."""
    counts = {name: {"documents": 0, "characters": 0, "tokens": 0} for name in (*TIERS, DROPPED)}
    for length, size, name in zip(characters, tokens, tier, strict=True):
        count = counts[name or DROPPED]
        count["documents"] += 1
        count["characters"] += length
        count["tokens"] += size
    return counts


def count_sources(
    sources: Sequence[str], characters: Sequence[int], tokens: Sequence[int], tier: Sequence[str | None]
) -> dict[str, dict[str, dict[str, int]]]:
    """By source, in the order in which they were read: the same by tier."""
    members: dict[str, list[int]] = {}
    for index, source in enumerate(sources):
        members.setdefault(source, []).append(index)
    return {
        source: count_tiers(*([column[i] for i in inside] for column in (characters, tokens, tier)))
        for source, inside in members.items()
    }


def count_reasons(dropped: Sequence[str | None]) -> dict[str, int]:
    """How many documents went for each kind of reason ("near-duplicate of …" is one kind)."""
    kinds = Counter(reason.split(" of ")[0].split(" by ")[0] for reason in dropped if reason)
    return dict(kinds.most_common())


def choose_examples(
    ids: Sequence[str], tier: Sequence[str | None], score: Sequence[float | None]
) -> dict[str, list[int]]:
    """By tier (and "dropped", of what was scored): three ordinary documents by number, from its upper, middle and
    lower part."""
    chosen: dict[str, list[int]] = {}
    for name in (*TIERS, DROPPED):
        inside = [i for i, t in enumerate(tier) if (t or DROPPED) == name and score[i] is not None]
        inside.sort(key=lambda i: (-(score[i] or 0.0), ids[i]))
        places = sorted({len(inside) * (2 * k + 1) // (2 * _EXAMPLES) for k in range(_EXAMPLES)})
        chosen[name] = [inside[p] for p in places if p < len(inside)]
    return chosen
