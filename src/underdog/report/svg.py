"""Matplotlib figures as inline SVG: the page's own fonts and colours, no identifier that clashes, equal bytes.

A plot is drawn in the colours of `COLOURS`, each a stand-in for the page's CSS variable of that name; so the same
SVG follows the page from light to dark to paper. Sizes are in pixels at the plot's natural width.
"""

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMES = (
    *("ink", "muted", "rule", "paper", "text", "pretrain", "sft", "reinforce", "control"),
    *("top", "high", "medium", "demonstrations", "other"),
    *("on-top", "on-high", "on-medium", "on-demonstrations", "on-other"),
)
COLOURS = {name: f"#0000{number:02x}" for number, name in enumerate(_NAMES, start=1)}
_VARIABLES = {colour: f"var(--{name})" for name, colour in COLOURS.items()}

SMALL = 10.5  # tick labels
NORMAL = 11.5  # labels beside the data
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it takes the page's font and can be selected
    "text.parse_math": False,  # names come from users; a dollar sign is a dollar sign
    "font.size": NORMAL,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["rule"],
    "axes.facecolor": "none",
    "axes.linewidth": 1.0,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid.axis": "y",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.0,
    "axes.unicode_minus": True,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 1.0,
    "xtick.color": COLOURS["rule"],
    "ytick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.major.pad": 6.0,
    "ytick.major.pad": 6.0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}


def draw(name: str, width: float, height: float, description: str, paint: Callable[["Figure"], None]) -> Markup:
    """The figure that `paint` fills, as an <svg> element.

    `name` is unique on the page; `description` is what a screen reader says.
    """
    import matplotlib
    from matplotlib.figure import Figure

    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    with matplotlib.rc_context({**defaults, **_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page has fonts for names in every script
        figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return Markup(_inline(buffer.getvalue(), width, height, description))


def axes(figure: "Figure", left: float, top: float, right: float, bottom: float) -> "Axes":
    """Axes at a distance in pixels from each edge."""
    width, height = 72 * figure.get_size_inches()
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )


def _inline(source: str, width: float, height: float, description: str) -> str:
    """Matplotlib's file without what a page does not want: headers, global styles, fonts, unused identifiers."""
    body = source.partition("<svg")[2].partition(">")[2]
    body = re.sub(r"<style.*?</style>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'style="([^"]*)"', _restyled, body)
    body = body.replace("xlink:href", "href")
    body = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", body)
    used = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    body = re.sub(r' (d|x|y|width|height)="([^"]*)"', _rounded, body)
    body = re.sub(r">\s+<", "><", body)
    opening = f'<svg role="img" aria-label="{escape(description)}" viewBox="0 0 {width:g} {height:g}">'
    return opening + body.strip()


def _restyled(found: re.Match[str]) -> str:
    style = re.sub(r"font-family:[^;]*;?\s*|font-weight: 400;?\s*", "", found[1])
    style = re.sub(r"#[0-9a-f]{6}", lambda colour: _VARIABLES.get(colour[0], colour[0]), style)
    return f'style="{style}"'


def _rounded(found: re.Match[str]) -> str:
    numbers = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), found[2])
    return f' {found[1]}="{" ".join(numbers.split())}"'
