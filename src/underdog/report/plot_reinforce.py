"""Reinforcement over steps, one figure a panel."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from underdog.report.series import Points, pick, thin, trend
from underdog.report.svg import COLOURS, SMALL, axes, draw
from underdog.report.words import figure as number
from underdog.report.words import percent

_WIDTH, _HEIGHT = 310, 132


@dataclass(frozen=True)
class Panel:
    """One figure of the log."""

    title: str
    field: str
    note: str
    form: Callable[[float], str]
    sparse: bool = False  # measured now and then: drawn as dots on a line


PANELS = (
    Panel("Reward", "reward", "mean over all answers sampled in a step", percent),
    Panel("Validation pass@1", "validation", "the same problems at every look", percent, sparse=True),
    Panel("Solved at least once", "solved_once", "share of the problems that one answer of a group got right", percent),
    Panel("Entropy", "entropy", "nats a token; what is left to explore", number),
    Panel("KL to the reference", "kl_to_reference", "nats a token; falls back to zero at a reset", number),
    Panel("Length of right answers", "length_right", "tokens", number),
    Panel("Length of wrong answers", "length_wrong", "tokens", number),
    Panel("Ran into the limit", "truncated", "share of the answers", percent),
    Panel("Groups kept", "kept", "answers differ in reward: only these teach", percent),
    Panel("Clipped", "clipped", "share of the tokens whose ratio left its bounds", percent),
    Panel("Sampler against trainer", "off_sampler", "nats a token apart, before a step's first update", number),
)
_DOMAIN = "reward_"  # and a domain's name: its field in the log


def _panels(log: Sequence[Mapping[str, Any]]) -> Iterator[Panel]:
    """Those of every run, and one for each domain where there are several."""
    yield PANELS[0]
    for field in sorted({field for record in log for field in record if field.startswith(_DOMAIN)}):
        domain = field.removeprefix(_DOMAIN).replace("-", " ")
        yield Panel(f"Reward: {domain}", field, "mean over the answers of this domain", percent)
    yield from PANELS[1:]


def panels(log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each panel that the log has figures for: title, note, first and last value, plot."""
    resets = [record["step"] for record in log if "reset" in record]
    steps = max((record["step"] for record in log if "step" in record), default=0) + 1
    found = []
    for panel in _panels(log):
        points = thin(pick(log, "step", panel.field))
        if len(points[0]) < 2:
            continue
        lines = [points] if panel.sparse else trend(points, resets, 0.1)
        found.append(
            {
                "title": panel.title,
                "note": panel.note,
                "first": panel.form(lines[0][1][0]),
                "last": panel.form(lines[-1][1][-1]),
                "svg": _draw(panel, points, lines, resets, steps),
            }
        )
    return found


def _draw(panel: Panel, points: Points, lines: Sequence[Points], resets: Sequence[int], steps: int) -> Markup:
    x, y = points

    def paint(figure):
        plot = axes(figure, 40, 14, 10, 22)
        low, high = min(y), max(y)
        room = 0.1 * (high - low) or 0.1 * abs(high) or 0.1
        plot.set(xlim=(0, steps), ylim=(max(low - room, 0) if low >= 0 else low - room, high + room))
        plot.locator_params(axis="y", nbins=3)
        plot.locator_params(axis="x", nbins=4, integer=True)
        plot.yaxis.set_major_formatter(lambda value, _: percent(value, 0) if panel.form is percent else number(value))
        for step in resets:
            plot.axvline(step, color=COLOURS["muted"], linewidth=1, linestyle=(0, (1, 2)))
            place = plot.get_xaxis_transform()
            plot.text(step, 1.02, "reset", transform=place, size=SMALL, color=COLOURS["muted"], ha="center")
        if panel.sparse:
            plot.plot(x, y, "o", color=COLOURS["reinforce"], markersize=4.5, clip_on=False)
        else:
            plot.plot(x, y, color=COLOURS["reinforce"], linewidth=1, alpha=0.3)
        for line in lines:
            plot.plot(*line, color=COLOURS["reinforce"], clip_on=False)

    return draw(f"reinforce-{panel.field}", _WIDTH, _HEIGHT, f"{panel.title} over steps", paint)


def pass_rates(record: Mapping[str, Any]) -> Markup:
    """How often the training problems were solved before a stage: how many of them fall into each tenth."""
    rates = record["pool"]["rates"]

    def paint(figure):
        plot = axes(figure, 40, 14, 10, 22)
        plot.bar(range(len(rates)), rates, 0.9, align="edge", color=COLOURS["reinforce"])
        plot.set_xticks([0, len(rates) / 2, len(rates)], ["never", "half", "always"])
        plot.set(xlim=(0, len(rates)), ylim=(0, 1.1 * max(*rates, 1)))
        plot.locator_params(axis="y", nbins=3, integer=True)

    said = f"Problems by how often they are solved, before step {record['step']}"
    return draw(f"pass-rates-{record['step']}", _WIDTH, _HEIGHT, said, paint)
