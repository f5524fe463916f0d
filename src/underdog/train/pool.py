"""The pool of training problems: shuffled, endless, read on from where it was left, and sorted by how hard they are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from underdog.errors import UserError, did_you_mean
from underdog.recipe.reinforcement import Profile
from underdog.seeds import derive
from underdog.train.shuffle import Shuffle
from underdog.verify.problem import Problem

BINS = 10  # of the histogram of pass rates
ALL = ""  # the kind that every problem is of
GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, fill every stretch evenly from the first few on (Weyl)


class Pool:
    """Hands out problems; its only state is in `memory`, which survives a resume.

    Until it is sorted every problem is active. After that the active ones are handed out, with a small share of the
    retired, so that what was known is not forgotten.
    """

    def __init__(self, problems: Sequence[Problem], seed: int, memory: dict[str, Any]):
        self.problems = problems
        self._seed = seed
        self._memory = memory
        self._decks: dict[str, _Deck] = {}

    @property
    def informative(self) -> float:
        """The share of problems whose answers differed in reward, where they were last tried."""
        return self._memory.get("informative", 1.0)

    @informative.setter
    def informative(self, share: float) -> None:
        self._memory["informative"] = share

    def take(self, count: int, mix: Mapping[str, float] | None = None) -> list[Problem]:
        """The next problems: of each domain, or "domain/task", its share of them; without a mix, of all alike."""
        mix = mix or {ALL: 1.0}
        first = self._memory.get("position", 0)
        self._memory["position"] = first + count
        places = self._memory.setdefault("places", {})  # by kind, how far its deck was read
        taken = []
        for position in range(first, first + count):
            kind = _at(mix, position * GOLDEN % 1.0)
            places[kind] = places.get(kind, -1) + 1
            taken.append(self.problems[self._deck(kind)[places[kind]]])
        return taken

    def check(self, mix: Mapping[str, float], where: str) -> None:
        """Raises UserError for a share of problems that there are none of."""
        there = {name for problem in self.problems for name in (problem.domain, f"{problem.domain}/{problem.task}")}
        for kind, share in mix.items():
            if share and kind not in there:
                raise UserError(f'{where} names "{kind}", and no training problem is.', hint=did_you_mean(kind, there))

    def sorted_for(self, stage: str) -> bool:
        """Whether the pool was sorted at the beginning of this stage."""
        return self._memory.get("sorted_for") == stage

    def sort(self, stage: str, rates: Sequence[float], settings: Profile) -> dict[str, Any]:
        """Sorts the problems by their pass rates [0, 1], in the order of `problems`; returns what came of it.

        Active: rates from `low` to `high`. Deferred: below, until the next stage looks again (a rate of 0 over a few
        answers means "unknown", not "impossible"). Retired: above. With nothing left between the bounds, everything
        stays active: a run is not ended by that.
        """
        active = [index for index, rate in enumerate(rates) if settings.low <= rate <= settings.high]
        retired = [index for index, rate in enumerate(rates) if rate > settings.high]
        found = {
            "active": len(active),
            "retired": len(retired),
            "deferred": len(rates) - len(active) - len(retired),
            "rates": histogram(rates),
        }
        every = round(1 / settings.review) if settings.review else 0
        if not active:
            active, retired = list(range(len(rates))), []
        self._memory.update(sorted_for=stage, active=active, retired=retired, review_every=every, places={})
        self._decks.clear()
        return found

    def _deck(self, kind: str) -> "_Deck":
        if kind not in self._decks:
            stage = self._memory.get("sorted_for")
            seed = self._seed if stage is None else derive(self._seed, stage)
            every = range(len(self.problems))
            active, retired = (
                [index for index in self._memory.get(name, default) if self._is(index, kind)]
                for name, default in (("active", every), ("retired", ()))
            )
            if not active:  # of a kind that is all too hard or too easy: its share is not given to others
                active, retired = [index for index in every if self._is(index, kind)], []
            self._decks[kind] = _Deck(active, retired, self._memory.get("review_every", 0), seed)
        return self._decks[kind]

    def _is(self, index: int, kind: str) -> bool:
        problem = self.problems[index]
        return kind in (ALL, problem.domain, f"{problem.domain}/{problem.task}")


class _Deck:
    """The indices of problems in an endless order: every so many of them a retired one."""

    def __init__(self, active: Sequence[int], retired: Sequence[int], every: int, seed: int):
        self._active, self._retired, self._every = active, retired, every
        self._order = Shuffle(len(active), seed)
        self._review = Shuffle(max(1, len(retired)), derive(seed, "review"))

    def __getitem__(self, position: int) -> int:
        if not (self._every and self._retired):
            return self._active[self._order[position]]
        rounds, within = divmod(position, self._every)
        if within == self._every - 1:
            return self._retired[self._review[rounds]]
        return self._active[self._order[rounds * (self._every - 1) + within]]


def _at(mix: Mapping[str, float], place: float) -> str:
    """The kind that a place in [0, 1) belongs to, where each takes its share of the way."""
    for kind, share in mix.items():
        place -= share
        if place < 0:
            return kind
    return kind


def histogram(rates: Sequence[float]) -> list[int]:
    """How many rates fall into each of ten equal bins; 1 belongs to the last."""
    bins: Mapping[int, int] = Counter(min(int(rate * BINS), BINS - 1) for rate in rates)
    return [bins.get(index, 0) for index in range(BINS)]
