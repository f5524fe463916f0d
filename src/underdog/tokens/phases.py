"""Phases: mixture, learning rate, sequence length and rotary base as functions of the tokens seen.

FG-WSD (Nanbeige4-3B, section 3) keeps the rate constant on the plateau and moves only the mixture; plain WSD and
cosine are other presets of the same thing, so that they differ in nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class _Span:
    """A phase laid out in steps."""

    phase: Phase
    first_step: int
    steps: int
    context: int
    rope_base: float
    row_source: np.ndarray  # [rows] index into Schedule.sources
    row_position: np.ndarray  # [rows] token position in that source's stream


class Schedule:
    """All phases, laid out in steps of `batch_tokens`."""

    def __init__(self, settings: Pretrain, context: int, rope_base: float):
        self.batch_tokens = settings.batch_tokens
        self.sources = sorted({source for phase in settings.phase for source in phase.mix})
        self.used = dict.fromkeys(self.sources, 0)  # tokens drawn from each source over all phases
        self._spans: list[_Span] = []
        first = 0
        for phase in settings.phase:
            steps = max(1, round(phase.share * settings.tokens / settings.batch_tokens))
            length = phase.context or context
            rope_base = phase.rope_base or rope_base
            if settings.batch_tokens % length:
                raise UserError(
                    f'Phase "{phase.name}" has sequences of {length} tokens in batches of {settings.batch_tokens}.',
                    hint="Make pretrain.batch_tokens a multiple of the phase's context.",
                )
            self._spans.append(self._lay_out(phase, first, steps, length, rope_base))
            first += steps
        self.steps = first

    def _lay_out(self, phase: Phase, first: int, steps: int, context: int, rope_base: float) -> _Span:
        rows = steps * (self.batch_tokens // context)
        row_source = take_turns([phase.mix.get(source, 0.0) for source in self.sources], rows)
        row_position = np.empty(rows, np.int64)
        for index, source in enumerate(self.sources):
            mine = row_source == index
            row_position[mine] = self.used[source] + context * np.arange(mine.sum())
            self.used[source] += context * int(mine.sum())
        return _Span(phase, first, steps, context, rope_base, row_source, row_position)

    @property
    def tokens(self) -> int:
        return self.steps * self.batch_tokens

    def at(self, index: int) -> Step:
        span = self._span(index)
        within = index - span.first_step
        return Step(
            index=index,
            phase=span.phase.name,
            tokens=index * self.batch_tokens,
            rows=self.batch_tokens // span.context,
            context=span.context,
            lr=learning_rate(span.phase.lr, (within + 0.5) / span.steps),
            rope_base=span.rope_base,
            ends_phase=within == span.steps - 1,
        )

    def rows(self, index: int) -> list[tuple[str, int]]:
        """(source, token position in its stream) of each row of a step."""
        span = self._span(index)
        rows = self.batch_tokens // span.context
        mine = slice((index - span.first_step) * rows, (index - span.first_step + 1) * rows)
        names = [self.sources[source] for source in span.row_source[mine]]
        return list(zip(names, span.row_position[mine].tolist(), strict=True))

    def check_epochs(self, available: Mapping[str, int], most: float) -> None:
        """Refuses a plan that names an unknown source or asks for more passes over one than allowed."""
        for source, used in self.used.items():
            if source not in available:
                raise UserError(f'A phase mixes in "{source}".', hint=did_you_mean(source, available))
            if used and not available[source]:
                raise UserError(f'A phase mixes in "{source}", which holds no tokens.')
            if used > most * available[source]:
                raise UserError(
                    f'Pretraining would read "{source}" {used / available[source]:.1f} times '
                    f"({used:,} of {available[source]:,} tokens); pretrain.epochs allows {most:g}.",
                    hint="Lower pretrain.tokens or the source's share, add text, or raise pretrain.epochs.",
                )

    def _span(self, index: int) -> _Span:
        return next(span for span in reversed(self._spans) if index >= span.first_step)


def take_turns(shares: Sequence[float], rows: int) -> np.ndarray:
    """Which source each of `rows` rows comes from [rows] int16.

    The rows of a source are spread evenly, so that its count never strays from its share by more than 1.5 rows,
    in short stretches as in long ones.
    """
    wanted = np.asarray(shares) / sum(shares) * rows
    counts = np.floor(wanted).astype(int)
    for source in np.argsort(counts - wanted, kind="stable")[: rows - counts.sum()]:  # largest remainders first
        counts[source] += 1
    places = [(np.arange(count) + 0.5) / count for count in counts if count]
    sources = np.repeat(np.arange(len(counts)), counts)
    return sources[np.argsort(np.concatenate(places), kind="stable")].astype(np.int16)


def learning_rate(lr: float | Rate, part: float) -> float:
    """The rate after `part` (0..1) of its phase."""
    if not isinstance(lr, Rate):
        return lr
    match lr.shape:
        case "linear":
            weight = part
        case "cosine":
            weight = 0.5 - 0.5 * math.cos(math.pi * part)
        case "1-sqrt":
            weight = math.sqrt(part)
    return lr.start + (lr.end - lr.start) * weight
