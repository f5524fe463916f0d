"""Phases: mixture, learning rate, sequence length, batch and rotary base as functions of the tokens seen.

FG-WSD (Nanbeige4-3B, section 3) keeps the rate constant on the plateau and moves only the mixture; plain WSD and
cosine are other presets of the same thing, so that they differ in nothing else.

Nothing here grows with the length of a run: the plan of 23 trillion tokens takes no more room than that of a million.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from underdog.errors import UserError, did_you_mean
from underdog.recipe.schema import Phase, Pretrain, Rate


@dataclass(frozen=True)
class Step:
    """One optimizer step of pretraining."""

    index: int
    phase: str
    tokens: int  # seen before this step
    rows: int
    context: int
    lr: float
    rope_base: float
    ends_phase: bool

    @property
    def tokens_after(self) -> int:
        return self.tokens + self.rows * self.context


@dataclass(frozen=True)
class Span:
    """A phase laid out: whole sequences of its length, in steps of its batch."""

    phase: Phase
    start: int  # tokens seen before it
    first_step: int
    steps: int
    context: int
    batch_rows: int  # sequences a step; the last step may hold half to one and a half times as many
    rope_base: float
    counts: tuple[int, ...]  # sequences of each source of the schedule
    before: tuple[int, ...]  # tokens drawn from each source by earlier phases

    @property
    def name(self) -> str:
        return self.phase.name

    @property
    def mix(self) -> Mapping[str, float]:
        return self.phase.mix

    @property
    def rows(self) -> int:
        return sum(self.counts)

    @property
    def tokens(self) -> int:
        return self.rows * self.context

    @property
    def end(self) -> int:
        return self.start + self.tokens

    @property
    def batch_tokens(self) -> int:
        return self.batch_rows * self.context

    def step_rows(self, index: int) -> tuple[int, int]:
        """The first sequence of a step (counted within the phase), and the one after its last."""
        first = (index - self.first_step) * self.batch_rows
        last = self.rows if index == self.first_step + self.steps - 1 else first + self.batch_rows
        return first, last

    def lr(self, tokens: float) -> float:
        """The learning rate where so many tokens of the run have been seen."""
        return learning_rate(self.phase.lr, (tokens - self.start) / self.tokens)


class Schedule:
    """All phases of a run, laid out."""

    def __init__(self, settings: Pretrain, context: int, rope_base: float):
        self.sources = sorted({source for phase in settings.phase for source in phase.mix})
        self.used = dict.fromkeys(self.sources, 0)  # tokens drawn from each source over all phases
        self.spans: list[Span] = []
        for phase in settings.phase:
            rope_base = phase.rope_base or rope_base
            self._append(phase, settings, phase.context or context, rope_base)

    def _append(self, phase: Phase, settings: Pretrain, context: int, rope_base: float) -> None:
        """A share becomes whole steps; tokens are kept to the sequence, and the last step takes the difference."""
        batch = phase.batch_tokens or settings.batch_tokens
        if batch % context:
            raise UserError(
                f'Phase "{phase.name}" has sequences of {context} tokens in batches of {batch}.',
                hint="Make pretrain.batch_tokens, or the phase's own, a multiple of the phase's context.",
            )
        if phase.tokens is None:
            steps = max(1, round((phase.share or 0.0) * settings.tokens / batch))
            rows = steps * (batch // context)
        else:
            rows = max(1, round(phase.tokens / context))
            steps = max(1, round(rows * context / batch))
        counts = apportion([phase.mix.get(source, 0.0) for source in self.sources], rows)
        start, first = (self.spans[-1].end, self.steps) if self.spans else (0, 0)
        before = tuple(self.used.values())
        self.spans.append(Span(phase, start, first, steps, context, batch // context, rope_base, counts, before))
        for source, count in zip(self.sources, counts, strict=True):
            self.used[source] += count * context

    @property
    def steps(self) -> int:
        return self.spans[-1].first_step + self.spans[-1].steps

    @property
    def tokens(self) -> int:
        return self.spans[-1].end

    def at(self, index: int) -> Step:
        span = self._span(index)
        first, last = span.step_rows(index)
        return Step(
            index=index,
            phase=span.name,
            tokens=span.start + first * span.context,
            rows=last - first,
            context=span.context,
            lr=span.lr(span.start + (first + last) * span.context / 2),
            rope_base=span.rope_base,
            ends_phase=last == span.rows,
        )

    def rows(self, index: int) -> list[tuple[str, int]]:
        """(source, token position in its stream) of each sequence of a step."""
        span = self._span(index)
        sources, places = take_turns(span.counts, *span.step_rows(index))
        return [
            (self.sources[source], span.before[source] + span.context * place)
            for source, place in zip(sources.tolist(), places.tolist(), strict=True)
        ]

    def lr(self, tokens: float) -> float:
        """The learning rate where so many tokens have been seen."""
        return next((span for span in self.spans if tokens < span.end), self.spans[-1]).lr(tokens)

    def curve(self, points: int) -> tuple[list[float], list[float]]:
        """About `points` places over the run in tokens, the borders of the phases among them, and the rates there."""
        tokens, rates = [], []
        for span in self.spans:
            inside = max(2, round(points * span.tokens / self.tokens))
            places = [span.start + span.tokens * place / (inside - 1) for place in range(inside)]
            tokens += places
            rates += [span.lr(place) for place in places]
        return tokens, rates

    def check_epochs(self, available: Mapping[str, int], most: float, most_of: Mapping[str, float] | None = None):
        """Refuses a plan that names an unknown source or asks for more passes over one than allowed.

        `available` holds the tokens of each source. Sources that `most_of` names have a limit of their own.
        """
        for source in most_of or {}:
            if source not in available:
                raise UserError(f'pretrain.epochs_of names "{source}".', hint=did_you_mean(source, available))
        for span in self.spans:
            for source, count, before in zip(self.sources, span.counts, span.before, strict=True):
                if source in span.mix and source not in available:
                    raise UserError(f'Phase "{span.name}" mixes in "{source}".', hint=did_you_mean(source, available))
                if count:
                    limit = (most_of or {}).get(source, most)
                    self._check_source(span, source, before + count * span.context, available[source], limit)

    def _check_source(self, span: Span, source: str, read: int, there: int, most: float) -> None:
        """`read` tokens of the source have been drawn by the end of the span."""
        if not there:
            raise UserError(f'Phase "{span.name}" mixes in "{source}", which holds no tokens.')
        if read <= most * there:
            return
        raise UserError(
            f'Phase "{span.name}" asks for {read / there:.3g} epochs of "{source}" by its end ({read:,} of {there:,} '
            f"tokens); pretrain.epochs allows {most:g}.",
            hint=f'Lower pretrain.tokens ({self.tokens:,}) or the share of "{source}" to '
            f"{_down(most * there / self.used[source])} of what it is, add text, or raise pretrain.epochs (all phases "
            f"together ask for {self.used[source] / there:.3g}).",
        )

    def _span(self, index: int) -> Span:
        return next(span for span in reversed(self.spans) if index >= span.first_step)


def mixable_tokens(metrics: Mapping[str, Any]) -> dict[str, int]:
    """Tokens behind every name that a mixture may hold, from the metrics of tokenising."""
    found = {name: tokens for name, tokens in metrics["tokens"].items() if not name.startswith("held-out")}
    for tier, sources in metrics.get("tokens_by_source", {}).items():
        for source, tokens in sources.items():
            found[source] = found.get(source, 0) + tokens
            found[f"{tier}/{source}"] = tokens
    return found


def _down(share: float) -> str:
    """A share that keeps within what it was computed from: 0.867 → "86 %"."""
    return f"{math.floor(100 * share)} %" if share >= 0.01 else f"{share:.1g}"


def apportion(shares: Sequence[float], rows: int) -> tuple[int, ...]:
    """How many of `rows` each share gets; they add up to `rows`, and none is off by a whole one."""
    wanted = np.asarray(shares) / sum(shares) * rows
    counts = np.floor(wanted).astype(np.int64)
    for source in np.argsort(counts - wanted, kind="stable")[: rows - counts.sum()]:  # largest remainders first
        counts[source] += 1
    return tuple(counts.tolist())


def take_turns(counts: Sequence[int], first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """The sources [last - first] of rows `first` to `last` of a phase, and how many of the same source came before
    each.

    The rows of a source are spread evenly: row k of n stands at place (k + 1/2) / n of the phase. So its count never
    strays from its share by more than 1.5 rows, in short stretches as in long ones. Of S sources at most S/2 rows
    more or fewer than r stand before place r / rows: a window around the places of `first` and `last` holds them.
    """
    numbers = np.array(counts, np.int64)
    slack = 2 * len(numbers)
    low, high = ((place + off) / numbers.sum() for place, off in ((first, -slack), (last, slack)))
    begins = np.clip(np.ceil(numbers * low - 0.5), 0, numbers).astype(np.int64)
    ends = np.clip(np.ceil(numbers * high - 0.5), 0, numbers).astype(np.int64)
    within = [np.arange(begin, end) for begin, end in zip(begins, ends, strict=True)]
    places = [(rows + 0.5) / n for rows, n in zip(within, counts, strict=True) if n]
    order = np.argsort(np.concatenate(places), kind="stable")[first - begins.sum() : last - begins.sum()]
    sources = np.repeat(np.arange(len(numbers)), ends - begins)
    return sources[order], np.concatenate(within)[order]


def learning_rate(lr: float | Rate, part: float) -> float:
    """The rate after `part` (0..1) of its phase."""
    if not isinstance(lr, Rate):
        return lr
    match lr.shape:
        case "constant":
            return lr.start
        case "linear":
            weight = part
        case "cosine":
            weight = 0.5 - 0.5 * math.cos(math.pi * part)
        case "1-sqrt":
            weight = math.sqrt(part)
    return lr.start + (lr.end - lr.start) * weight
