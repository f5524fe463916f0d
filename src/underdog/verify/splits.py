"""Demonstrations, train, validation and test without overlap.

Two problems are the same when their ids (canonical forms) or their normalised prompts are equal. The second
and later ones are set aside before anything is dealt out, so no split can hold a problem of another one.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from random import Random

from underdog.errors import UserError
from underdog.verify.identity import prompt_key
from underdog.verify.problem import Problem

SPLITS = ("demonstrations", "train", "validation", "test")
_PATIENCE = 2_000  # repeats in a row after which a task counts as exhausted
_FEWER = "Ask for fewer problems, or name more tasks or files."


@dataclass(frozen=True)
class Split:
    """What came out. Every split takes its sources in turn, so any prefix of it is balanced."""

    problems: dict[str, list[Problem]]  # by split name
    duplicates: dict[str, int]  # by source: how many were set aside


def split(
    files: Mapping[str, list[Problem]],
    tasks: Mapping[str, Iterator[Problem]],
    sizes: Mapping[str, int],
    seed: int,
    unworked: Collection[str] = (),
) -> Split:
    """Deal problems into the splits, the same number from every source as far as it reaches.

    files: finite sources; a small one gives what it has, to all splits in proportion. Only its problems with
    worked reasoning become demonstrations.
    tasks: endless sources, drawn from until they have given their share.
    sizes: how many problems each of SPLITS holds.
    unworked: the tasks without worked reasoning, which give no demonstrations.
    Deterministic in its arguments. Raises UserError when there are too few distinct problems.
    """
    seen: set[str] = set()
    pools = {name: list(_distinct(problems, seen)) for name, problems in files.items()}
    duplicates = {name: len(problems) - len(pools[name]) for name, problems in files.items()}
    shown, others = _quotas(pools, list(tasks), sizes, unworked)
    for name, stream in tasks.items():
        pools[name], duplicates[name] = _draw(name, stream, shown[name] + others[name], seen)

    dealt: dict[str, list[list[Problem]]] = {name: [] for name in SPLITS}
    slots = _spread({name: sizes[name] for name in SPLITS[1:]})
    for name, pool in pools.items():
        Random(f"{seed} {name}").shuffle(pool)
        first = [problem for problem in pool if problem.worked][: shown[name]]
        ids = {problem.id for problem in first}
        rest = [problem for problem in pool if problem.id not in ids][: others[name]]
        dealt["demonstrations"].append(first)
        mine, slots = slots[: len(rest)], slots[len(rest) :]
        for slot in SPLITS[1:]:
            dealt[slot].append([problem for problem, where in zip(rest, mine, strict=True) if where == slot])
    return Split({name: _in_turn(lists) for name, lists in dealt.items()}, duplicates)


def _distinct(problems: Iterable[Problem], seen: set[str]) -> Iterator[Problem]:
    """Those that are new; `seen` grows by all."""
    for problem in problems:
        keys = (problem.id, prompt_key(problem.prompt))
        new = seen.isdisjoint(keys)
        seen.update(keys)
        if new:
            yield problem


def _draw(name: str, stream: Iterator[Problem], count: int, seen: set[str]) -> tuple[list[Problem], int]:
    """`count` distinct problems of an endless source, and how many repeats came between them."""
    found: list[Problem] = []
    repeats = in_a_row = 0
    while len(found) < count:
        new = list(_distinct([next(stream)], seen))
        found += new
        in_a_row = 0 if new else in_a_row + 1
        repeats += not new
        if in_a_row == _PATIENCE:
            raise UserError(
                f'Task "{name}" has only about {len(found):,} distinct problems; {count:,} are needed.',
                hint=_FEWER,
            )
    return found, repeats


def _quotas(
    pools: Mapping[str, list[Problem]], tasks: list[str], sizes: Mapping[str, int], unworked: Collection[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """How many demonstrations, and how many others, every source gives."""
    total = sum(sizes.values())
    worked = {name: sum(problem.worked is not None for problem in pool) for name, pool in pools.items()}
    endless = dict.fromkeys(tasks, math.inf)
    reasoned = {name: 0 if name in unworked else math.inf for name in tasks}
    # A file gives its proportional part, so that it reaches the other splits too; if need be all it has.
    part = {n: min(worked[n], round(len(pools[n]) * sizes["demonstrations"] / max(total, 1))) for n in pools}
    for limits in (part, worked):
        shown = _share(sizes["demonstrations"], limits | reasoned)
        if sum(shown.values()) == sizes["demonstrations"]:
            break
    else:
        raise UserError(
            f"{sizes['demonstrations']:,} demonstrations were asked for; {_listed(worked)} have reasoning.",
            hint='A demonstration needs "reasoning" (docs/problems.md), or ask for fewer demonstrations.',
        )
    left = {name: len(pool) - shown[name] for name, pool in pools.items()}
    others = _share(total - sizes["demonstrations"], left | endless)
    if sum(others.values()) + sizes["demonstrations"] < total:
        held = _listed({name: len(pool) for name, pool in pools.items()})
        raise UserError(f"{total:,} problems were asked for; {held} are distinct.", hint=_FEWER)
    return shown, others


def _share(total: int, limits: Mapping[str, float]) -> dict[str, int]:
    """Split `total` evenly over names, none above its limit; what one cannot give, the others do."""
    quota = dict.fromkeys(limits, 0)
    missing = total
    while missing and (able := [name for name in limits if quota[name] < limits[name]]):
        each, extra = divmod(missing, len(able))
        for index, name in enumerate(able):
            more = int(min(each + (index < extra), limits[name] - quota[name]))
            quota[name] += more
            missing -= more
    return quota


def _spread(sizes: Mapping[str, int]) -> list[str]:
    """Every name as often as its size says, so evenly that each run of slots holds all in proportion."""
    positions = [((index + 0.5) / size, name) for name, size in sizes.items() for index in range(size)]
    return [name for _, name in sorted(positions)]


def _in_turn(lists: list[list[Problem]]) -> list[Problem]:
    """One from each list, round and round."""
    return [problem for row in zip_longest(*lists) for problem in row if problem is not None]


def _listed(counts: Mapping[str, int]) -> str:
    """812 (a.jsonl 800, b.jsonl 12)"""
    return f"{sum(counts.values()):,} ({', '.join(f'{name} {count:,}' for name, count in counts.items())})"
