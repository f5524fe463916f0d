"""Mixture and learning rate over tokens in the terminal, in characters that tell apart without colour too."""

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from underdog.report.plan import ordered
from underdog.report.words import figure, short
from underdog.tokens.phases import Span

_FILLS = "█▓▒░╱·"
_COLOURS = ("green", "cyan", "blue", "magenta", "yellow", "white")
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_MARGIN = 8  # columns left of the plots


def draw(spans: Sequence[Span], width: int = 72, mixture: int = 10, rate: int = 5) -> list[Text]:
    """The lines of both plots; `mixture` and `rate` are their heights."""
    columns = _columns(spans, max(width - _MARGIN, len(spans)))
    sources = ordered({name for span in spans for name in span.mix})
    looks = {name: (_FILLS[i % len(_FILLS)], _COLOURS[i % len(_COLOURS)]) for i, name in enumerate(sources)}
    lines = [_labelled("", _phase_names(spans, columns))]
    for row in reversed(range(mixture)):
        label = {mixture - 1: "100 %", 0: "0 %"}.get(row, "")
        cells = [_source_at(spans[place], (row + 0.5) / mixture) for place, _ in columns]
        lines.append(_labelled(label, *((looks[name][0], looks[name][1]) for name in cells)))
    lines.append(_labelled("", *(part for name in sources for part in (looks[name], (f" {name}   ", "")))))
    lines += [Text(), _labelled("", ("learning rate", "bold"))]
    rates = [spans[place].lr(tokens) for place, tokens in columns]
    peak = max([*rates, *(span.lr(edge) for span in spans for edge in (span.start, span.end))]) or 1.0
    for row in reversed(range(rate)):
        label = {rate - 1: figure(peak), 0: "0"}.get(row, "")
        levels = [round(min(1.0, max(0.0, lr / peak * rate - row)) * 8) for lr in rates]
        lines.append(_labelled(label, ("".join(_EIGHTHS[level] for level in levels), "")))
    lines.append(_labelled("", (_token_axis(spans, columns), "dim")))
    return lines


def _columns(spans: Sequence[Span], width: int) -> list[tuple[int, float]]:
    """(phase, place in tokens) of every column; the shortest phase has one too."""
    total = spans[-1].end
    counts = [max(1, round(width * span.tokens / total)) for span in spans]
    counts[counts.index(max(counts))] += width - sum(counts)
    return [
        (place, span.start + (column + 0.5) / count * span.tokens)
        for place, (span, count) in enumerate(zip(spans, counts, strict=True))
        for column in range(count)
    ]


def _source_at(span: Span, height: float) -> str:
    """The source that a place of the mixture (0 = bottom, 1 = top) belongs to."""
    names = [name for name in ordered(span.mix) if span.mix[name]]
    reached = 0.0
    for name in names:
        reached += span.mix[name]
        if height < reached:
            return name
    return names[-1]


def _phase_names(spans: Sequence[Span], columns: Sequence[tuple[int, float]]) -> tuple[str, str]:
    """Names above their phases, where they fit."""
    line = ""
    for place, span in enumerate(spans):
        count = sum(one == place for one, _ in columns)
        line += span.name.center(count) if len(span.name) < count else " " * count
    return line, "bold"


def _token_axis(spans: Sequence[Span], columns: Sequence[tuple[int, float]]) -> str:
    """The tokens at which phases end, under their ends where there is room; always those of the last."""
    last = f"{short(spans[-1].end)} tokens"
    line, room = "0", len(columns) - len(last)
    for place, span in enumerate(spans[:-1]):
        label = short(span.end)
        start = sum(one <= place for one, _ in columns) - len(label) // 2
        if len(line) < start < room - len(label):
            line = line.ljust(start) + label
    return line.ljust(room) + last


def _labelled(label: str, *parts: tuple[str, str]) -> Text:
    line = Text(f"{label:>{_MARGIN - 1}} ", style=Style(dim=True), no_wrap=True, overflow="crop")
    for text, style in parts:
        line.append(text, style=Style.parse(f"not dim {style}".strip()))
    return line
