import pytest

from underdog.report.ablation import show_ablation
from underdog.stages.ablate import Ablation
from underdog.stages.difference import Difference
from underdog.stages.switches import find_switch


@pytest.fixture
def shown(capsys, monkeypatch):
    """The percentages of either arm, seed by seed -> what is printed of them."""
    monkeypatch.setenv("COLUMNS", "80")

    def show(off, on):
        difference = Difference("pass@1 greedy", True, off, on)
        show_ablation(Ablation(find_switch("kl"), len(on), [difference, difference], []))
        return capsys.readouterr().out

    return show


def test_one_seed_shows_no_interval_and_says_so_once(shown):
    said = shown([0.2], [0.3])
    assert "+10.0" in said and "[" not in said and said.count("One seed tells nothing") == 1


def test_problems_that_all_seeds_share_have_an_interval_of_their_own(capsys):
    difference = Difference("pass@1 greedy", True, [0.2, 0.2], [0.3, 0.3], [0.0, 0.2, 0.1, 0.1])
    show_ablation(Ablation(find_switch("kl"), 2, [difference], []))
    assert "over its 4 problems, the same for every seed: [+2.0, +18.0]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("on", "says"),
    [
        ([0.30, 0.31, 0.32], "higher with the switch on; 3 seeds"),
        ([0.10, 0.11, 0.12], "lower with the switch on; 3 seeds"),
        ([0.10, 0.21, 0.32], "no difference shown with 3 seeds"),
    ],
)
def test_what_an_interval_allows_to_say(shown, on, says):
    assert says in shown([0.20, 0.21, 0.22], on)
