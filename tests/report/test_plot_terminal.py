from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from underdog.recipe.schema import Phase, Pretrain, Rate
from underdog.report.plot_terminal import draw
from underdog.tokens.phases import Schedule


def drawn(phases, width, mixture, rate):
    schedule = Schedule(Pretrain(preset="own", tokens=2_000_000, phase=phases), 512, 1e4)
    return [line.plain for line in draw(schedule.spans, width, mixture, rate)]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=6), st.integers(40, 120))
def test_the_drawing_fits_and_shows_every_phase_and_source(weights, width):
    sources = ["top", "medium", "books"]
    phases = [
        Phase(name=f"p{i}", share=w / sum(weights), lr=1e-3, mix={sources[i % 3]: 1.0}) for i, w in enumerate(weights)
    ]
    lines = drawn(phases, width, mixture=3, rate=2)
    assert len(lines) == 1 + 3 + 1 + 2 + 2 + 1
    assert {len(line) for line in lines[1:4]} == {width}
    cells = lines[1][8:]
    borders = sum(one != other for one, other in pairwise(cells))
    assert borders == len(weights) - 1  # neighbours differ in their source, and the shortest phase has a column
    assert all(name in lines[4] for name in sources[: len(weights)])


def test_mixture_and_rate_are_to_scale():
    rise = Rate(**{"from": 0.0, "to": 1.0})
    phases = [
        Phase(name="rise", share=0.5, lr=rise, mix={"high": 0.4, "top": 0.6}),
        Phase(name="stay", share=0.5, lr=1.0, mix={"top": 1.0}),
    ]
    lines = drawn(phases, width=28, mixture=5, rate=1)
    assert lines[0].split() == ["rise", "stay"]
    labels = ["100 %", "", "", "", "0 %"]
    assert lines[1:6] == [
        f"{label:>7} {'▓' * 10 if row < 2 else '█' * 10}{'█' * 10}" for row, label in enumerate(labels)
    ]
    assert lines[9][:8] == "      0 " and lines[9][18:] == "█" * 10
    assert [" ▁▂▃▄▅▆▇█".index(cell) for cell in lines[9][8:18]] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert lines[10].split() == ["0", "2", "M", "tokens"]
