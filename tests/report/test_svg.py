import warnings
from html.parser import HTMLParser

from underdog.report.svg import COLOURS, axes, draw


def paint(figure):
    plot = axes(figure, 20, 10, 10, 20)
    plot.plot([0, 1, 2], [1, 3, 2], color=COLOURS["sft"])
    plot.text(1, 2, '<b onclick="x">$\\frac{1}{2}$ & 回', color=COLOURS["ink"])


def test_text_stays_text_and_escaped():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = draw("a", 200, 100, 'a "plot" <i>', paint)
    tags, texts = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.handle_data = texts.append
    parser.feed(source)
    assert '<b onclick="x">$\\frac{1}{2}$ & 回' in texts
    assert tags[0] == ("svg", {"role": "img", "aria-label": 'a "plot" <i>', "viewbox": "0 0 200 100"})
    assert {tag for tag, _ in tags} <= {"svg", "g", "path", "text", "use", "defs", "clippath", "rect"}


def test_colours_become_the_pages_variables():
    source = draw("a", 200, 100, "", paint)
    assert "stroke: var(--sft)" in source and "fill: var(--ink)" in source
    assert "#0000" not in source and "font-family" not in source


def test_other_names_give_other_identifiers_and_equal_ones_equal_bytes():
    first, again, other = (draw(name, 200, 100, "", paint) for name in ("a", "a", "b"))
    assert first == again != other


def test_settings_of_the_user_change_nothing():
    import matplotlib

    plain = draw("a", 200, 100, "", paint)
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9, "axes.facecolor": "red"}):
        assert draw("a", 200, 100, "", paint) == plain
