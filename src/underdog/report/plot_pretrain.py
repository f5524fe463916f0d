"""Pretraining over tokens: what the model read (from the recipe), and what that did to the loss (from the log)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from underdog.recipe.schema import Recipe
from underdog.report.plan import SOURCES, ordered, schedule
from underdog.report.series import pick, thin, trend
from underdog.report.svg import COLOURS, SMALL, axes, draw
from underdog.report.words import figure as number
from underdog.report.words import percent, short
from underdog.tokens.phases import Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 400, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 6, 20, 24
_INNER = _WIDTH - _LEFT - _RIGHT
_MIXTURE = 156  # height of the mixture; the learning rate gets the rest


def plan(recipe: Recipe) -> tuple[Markup, list[Span]]:
    """Mixture and learning rate over tokens, and the phases."""
    laid_out = schedule(recipe)
    phases = laid_out.spans
    tokens, rates = laid_out.curve(400)

    def paint(figure):
        mixture = axes(figure, _LEFT, _TOP, _RIGHT, _HEIGHT - _TOP - _MIXTURE)
        _paint_mixture(mixture, phases)
        mixture.set(yticks=[0, 0.5, 1], yticklabels=["0", "50", f"100{chr(0xA0)}%"], xticklabels=[])
        _name_phases(mixture, phases)
        rate = axes(figure, _LEFT, _TOP + _MIXTURE + 26, _RIGHT, _BOTTOM)
        rate.plot(tokens, rates, color=COLOURS["ink"])
        peak = max(rates) or 1.0
        rate.set(xlim=(0, laid_out.tokens), ylim=(0, 1.1 * peak), yticks=[0, peak], yticklabels=["0", number(peak)])
        rate.text(0, 1.18 * peak, "learning rate", size=SMALL, color=COLOURS["muted"], va="bottom")
        _token_axis(rate, laid_out.tokens)
        _boundaries([rate], phases)

    names = ", ".join(phase.name for phase in phases)
    return draw("plan", _WIDTH, _HEIGHT, f"Mixture and learning rate over the phases {names}", paint), phases


def loss(log: Sequence[Mapping[str, Any]], phases: Sequence[Span]) -> Markup | None:
    """Training loss and the held-out loss after each phase; None without a log."""
    x, y = thin(pick(log, "tokens", "loss"))
    held = pick(log, "tokens", "held_out")
    if len(x) < 2:
        return None
    total = phases[-1].end if phases else x[-1]
    settled = y[len(y) // 12 :]  # the first fall is steep and says little: it may leave the frame
    low, high = min(*settled, *held[1]), max(settled)
    held = held[0][held[1] <= high], held[1][held[1] <= high]
    room = 0.08 * (high - low) or 0.1

    def paint(figure):
        plot = axes(figure, _LEFT, _TOP, _RIGHT, _BOTTOM)
        plot.set(xlim=(0, total), ylim=(low - 1.6 * room, high + room))
        plot.locator_params(axis="y", nbins=5)
        plot.plot(x, y, color=COLOURS["pretrain"], linewidth=1, alpha=0.35)
        lines = trend((x, y), [phase.start for phase in phases], 0.05)
        for line in lines:
            plot.plot(*line, color=COLOURS["pretrain"])
        mean = np.concatenate([line[1] for line in lines])
        plot.plot(*held, "o", color=COLOURS["ink"], markersize=6, markeredgecolor=COLOURS["paper"], clip_on=False)
        for tokens, value in zip(*held, strict=True):
            _by_dot(plot, tokens, value, value > np.interp(tokens, x, mean), total)
        _direct(plot, x, mean, "training loss")
        _token_axis(plot, total)
        _boundaries([plot], phases)
        _name_phases(plot, phases)

    last = f", held-out loss at the end {held[1][-1]:.2f}" if len(held[1]) else ""
    return draw("loss", _WIDTH, _HEIGHT, f"Training loss over tokens{last}", paint)


def _paint_mixture(plot: "Axes", phases: Sequence[Span]) -> None:
    from matplotlib.patches import Rectangle

    total = phases[-1].end
    plot.set(xlim=(0, total), ylim=(0, 1))
    plot.grid(False)
    for phase in phases:
        base = 0.0
        for source in ordered(phase.mix):  # bottom upward
            share = phase.mix[source]
            tone = source if source in SOURCES else "other"
            cell = Rectangle((phase.start, base), phase.end - phase.start, share)
            cell.set(facecolor=COLOURS[tone], edgecolor=COLOURS["paper"], linewidth=1)
            plot.add_patch(cell)
            _name_cell(plot, phase, base, source, tone, (phase.end - phase.start) / total * _INNER)
            base += share


def _name_cell(plot: "Axes", phase: Span, base: float, source: str, tone: str, width: float) -> None:
    """Source and share inside their cell, on one line or two; the share alone, or nothing, where they do not fit."""
    share = phase.mix[source]
    room = share * _MIXTURE
    name, value = source, percent(share, 0)
    if _fits(f"{name} {value}", width) and room > 13:
        lines = [f"{name} {value}"]
    elif _fits(name, width) and room > 28:
        lines = [name, value]
    elif _fits(value, width) and room > 13:
        lines = [value]
    else:
        return
    middle = (phase.start + phase.end) / 2, base + share / 2
    style = {"color": COLOURS[f"on-{tone}"], "size": SMALL, "ha": "center", "va": "center_baseline"}
    for place, line in enumerate(lines):
        plot.annotate(line, middle, (0, 7 * (len(lines) - 1 - 2 * place)), textcoords="offset pixels", **style)


def _fits(text: str, width: float) -> bool:
    return 5.8 * len(text) + 4 < width


def _name_phases(plot: "Axes", phases: Sequence[Span]) -> None:
    """Above the plot, where there is room for the name."""
    total = phases[-1].end if phases else 1
    for phase in phases:
        if _fits(phase.name, (phase.end - phase.start) / total * _INNER):
            middle = (phase.start + phase.end) / 2
            place = plot.get_xaxis_transform()
            plot.text(middle, 1.03, phase.name, transform=place, size=SMALL, ha="center", color=COLOURS["muted"])


def _boundaries(plots: Sequence["Axes"], phases: Sequence[Span]) -> None:
    for plot in plots:
        for phase in phases[:-1]:
            plot.axvline(phase.end, color=COLOURS["muted"], linewidth=0.8, linestyle=(0, (1, 3)))


def _token_axis(plot: "Axes", total: float) -> None:
    from matplotlib.ticker import MaxNLocator

    ticks = [tick for tick in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(0, total) if 0 <= tick <= total]
    labels = [short(tick) for tick in ticks]
    labels[-1] += " tokens"
    plot.set_xticks(ticks, labels)
    first, *_, last = plot.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right" if total - ticks[-1] < 0.1 * total else "center")


def _by_dot(plot: "Axes", x: float, y: float, above: bool, total: float) -> None:
    """The value of a held-out loss, on the side of its dot that is away from the training loss."""
    plot.annotate(
        f"{y:.2f}",
        (x, y),
        (4 if x > 0.95 * total else 0, 8 if above else -16),
        textcoords="offset pixels",
        ha="right" if x > 0.95 * total else "center",
        fontweight="bold",
    )


def _direct(plot: "Axes", x, y, text: str) -> None:
    """The line's name in its own colour, above its first third."""
    at = len(x) // 5
    plot.annotate(text, (x[at], y[at]), (8, 8), textcoords="offset pixels", color=COLOURS["pretrain"])
