"""Rows for SFT by domain and length: which of them a step holds is a pure function of the step."""

from collections.abc import Mapping, Sequence

from underdog.errors import UserError, did_you_mean
from underdog.recipe.teaching import Sft
from underdog.seeds import derive
from underdog.tokens.phases import apportion, take_turns
from underdog.train.batch import Example
from underdog.train.data import Shuffled
from underdog.train.shuffle import Shuffle

Domains = Mapping[str, Sequence[Example]]


class Mixture:
    """Examples of several domains, each with its share of the tokens over `steps` steps."""

    def __init__(self, domains: Domains, budget: Mapping[str, float], batch_tokens: int, steps: int, seed: int):
        self._examples = [domains[name] for name in budget]
        self._orders = [
            Shuffle(len(examples), derive(seed, name)) for name, examples in zip(budget, self._examples, strict=True)
        ]
        means = [sum(len(one.ids) for one in examples) / len(examples) for examples in self._examples]
        shares = [share / mean for share, mean in zip(budget.values(), means, strict=True)]  # of the rows
        self.per_step = max(1, round(batch_tokens * sum(shares)))
        self._counts = apportion(shares, steps * self.per_step)

    def at(self, step: int) -> list[Example]:
        first = step * self.per_step
        sources, places = take_turns(self._counts, first, first + self.per_step)
        return [
            self._examples[source][self._orders[source][place]]
            for source, place in zip(sources.tolist(), places.tolist(), strict=True)
        ]

    def epochs(self, steps: int) -> float:
        return steps * self.per_step / sum(map(len, self._examples))


class Lengths:
    """Stages of SFT one after the other, each with the rows that are short enough for it."""

    def __init__(self, domains: Domains, settings: Sft, steps: int, seed: int):
        ends = [round(steps * sum(one.share for one in settings.stage[: i + 1])) for i in range(len(settings.stage))]
        self._begins = [0, *ends[:-1]]
        self._total = sum(map(len, domains.values()))
        self._parts = []
        for number, (stage, begin, end) in enumerate(zip(settings.stage, self._begins, ends, strict=True)):
            short = {name: [one for one in rows if len(one.ids) <= stage.context] for name, rows in domains.items()}
            what = f"sft.stage {number + 1} (rows of at most {stage.context} tokens)"
            self._parts.append(_mixed(short, settings, max(1, end - begin), derive(seed, "stage", number), what))

    def at(self, step: int) -> list[Example]:
        part = self._part(step)
        return self._parts[part].at(step - self._begins[part])

    def epochs(self, steps: int) -> float:
        """Rows drawn over rows there are."""
        ends = [*self._begins[1:], steps]
        done = [max(0, min(steps, end) - begin) for begin, end in zip(self._begins, ends, strict=True)]
        return sum(part.per_step * count for part, count in zip(self._parts, done, strict=True)) / self._total

    def _part(self, step: int) -> int:
        return max(number for number, begin in enumerate(self._begins) if step >= begin)


def mixed(domains: Domains, settings: Sft, steps: int, seed: int) -> Shuffled | Mixture | Lengths:
    """The rows in the order that the recipe asks for.

    Raises:
        UserError: the budget names a domain that has no rows, or leaves one unsaid.
    """
    if settings.stage:
        return Lengths(domains, settings, steps, seed)
    return _mixed(domains, settings, steps, seed, "sft.data")


def _mixed(domains: Domains, settings: Sft, steps: int, seed: int, what: str) -> Shuffled | Mixture:
    there = {name: rows for name, rows in domains.items() if rows}
    if not there:
        raise UserError(f"{what} has no rows to learn from.", hint="Raise the length, or look at what was set aside.")
    if not settings.budget:
        return Shuffled([one for rows in there.values() for one in rows], settings.batch_tokens, seed)
    for name, share in settings.budget.items():
        if share and name not in there:
            raise UserError(f'sft.budget names "{name}", of which {what} has no rows.', hint=did_you_mean(name, there))
    for name in there:
        if name not in settings.budget:
            raise UserError(f'sft.budget does not say what "{name}" gets.', hint="Give it a share; 0 leaves it out.")
    return Mixture(
        there, {name: share for name, share in settings.budget.items() if share}, settings.batch_tokens, steps, seed
    )
