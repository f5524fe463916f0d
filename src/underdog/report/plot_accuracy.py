"""Accuracy by stage: dots with 95 % intervals, sampled and greedy, against chance."""

from collections.abc import Sequence

from markupsafe import Markup

from underdog.report.svg import COLOURS, NORMAL, SMALL, axes, draw
from underdog.report.table import Row
from underdog.report.words import percent

_WIDTH, _ROW, _TOP, _BOTTOM, _LEFT, _RIGHT = 400, 56, 22, 26, 126, 56


def accuracy_dots(rows: Sequence[Row], chance: float | None) -> Markup:
    """One line a stage; filled dots are sampled answers, open ones greedy."""
    height = _TOP + _ROW * len(rows) + _BOTTOM
    high = max(value.high for row in rows for value in (row.sampled, row.greedy) if value)
    top = min(1.0, max(0.1, 1.1 * high))

    def paint(figure):
        plot = axes(figure, _LEFT, _TOP, _RIGHT, _BOTTOM)
        plot.set(xlim=(0, top), ylim=(len(rows) - 0.45, -0.55), yticks=[])
        plot.grid(True, axis="x")
        plot.spines["bottom"].set_visible(False)
        plot.locator_params(axis="x", nbins=5)
        plot.xaxis.set_major_formatter(lambda value, _: percent(value, 0))
        if chance is not None:
            plot.axvline(chance, color=COLOURS["muted"], linewidth=1.2, linestyle=(0, (1, 2)))
            plot.text(
                chance,
                -0.62,
                f"chance {percent(chance, 0)}",
                size=SMALL,
                color=COLOURS["muted"],
                ha="left" if chance < 0.15 * top else "center",
            )
        for place, row in enumerate(rows):
            _paint_row(plot, place, row, first=place == 0)

    return draw("accuracy", _WIDTH, height, _description(rows), paint)


def _paint_row(plot, place: int, row: Row, first: bool) -> None:
    colour = COLOURS.get(row.stage, COLOURS["ink"])
    plot.annotate(
        row.label,
        (0, place),
        (-10, 0),
        textcoords="offset pixels",
        ha="right",
        va="center_baseline",
        color=colour,
        size=NORMAL,
        fontweight="bold",
    )
    for value, name, shift, thick in ((row.sampled, "sampled", -0.13, 3.5), (row.greedy, "greedy", 0.17, 1.5)):
        if value is None:
            continue
        y = place + shift
        face = colour if name == "sampled" else COLOURS["paper"]
        plot.plot([value.low, value.high], [y, y], color=colour, linewidth=thick, alpha=0.45, clip_on=False)
        plot.plot(
            value.mean,
            y,
            "o",
            markersize=9 if name == "sampled" else 7,
            markerfacecolor=face,
            markeredgecolor=colour,
            markeredgewidth=1.5,
            clip_on=False,
        )
        text = percent(value.mean) + (f"  {name}" if first else "")
        plot.annotate(
            text,
            (value.high, y),
            (8, 0),
            textcoords="offset pixels",
            va="center_baseline",
            fontweight="bold" if name == "sampled" else "normal",
            color=COLOURS["ink" if name == "sampled" else "muted"],
            annotation_clip=False,
        )


def _description(rows: Sequence[Row]) -> str:
    return "Accuracy by stage: " + ", ".join(f"{row.label} {percent(row.sampled.mean)}" for row in rows if row.sampled)
