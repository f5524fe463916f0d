"""The published rules, each at its published threshold, against the rule's own sentence in plain Python."""

import textwrap

import numpy as np
import pytest

from underdog.errors import UserError
from underdog.text.kernels.count import count
from underdog.text.rules import RULES, choose_rules, first_broken

GOOD = """\
Old maps show the garden at the corner of the village, near three oaks. People have kept it with care since 1801.
Storms broke two arches of that bridge, yet masons came at once. Nobody had to be asked to help them.
Readers borrow novels in our library on quiet afternoons, and the newest ones are gone within an hour.
Ships bring tea, salt and timber to the harbour every spring. Most of it is sold before summer begins.
Apples ripen late in the orchard because nights stay cool there. Cider makers wait for the first frost.
The bell of the tower rings whenever fog hides our coast, and fishermen steer by its sound alone.
Farmers sell cheese, wool and honey on Fridays. Buyers with long journeys behind them come early to be served.
Water turns both wheels of the mill from March until June. Later the stream is too weak, so grain must wait."""

BREAKS = {
    "gopher.words": "The mill and the tower stand with the bridge. That is all there is to say. It is old.",
    "gopher.bullets": "\n".join(f"- {line}" for line in GOOD.split("\n")),
    "gopher.ellipsis_lines": GOOD.replace(".\n", " …\n"),
    "gopher.hashes": GOOD + " #a" * 40,
    "gopher.words_with_letter": GOOD + " ".join(str(n * 7919) for n in range(150)),
    "gopher.duplicate_lines": "\n".join([*GOOD.split("\n"), *GOOD.split("\n")[:4]]),
    "gopher.stop_words": " ".join(f"Word{i}a number{i}b thing{i}c lies there." for i in range(30)),
    "gopher.shortest_words": " ".join(f"{a}{b} {c}." for a in "abcdefg" for b in "hijk" for c in "lmnop"),
    "c4.braces": GOOD + "\nThe set { a, b } has two members here.",
    "c4.lorem_ipsum": GOOD + "\nHere follows lorem ipsum as ever.",
    "c4.sentences": "\n".join(GOOD.split("\n")[:2]),
    "fineweb.short_lines": "\n".join(textwrap.wrap(GOOD, 28)),
    "fineweb.ended_lines": GOOD.replace(".\n", ";\n")[:-1] + ";",
}


def first(text, *names, english=True, **limits):
    return first_broken(count([text]), np.array([english]), choose_rules(names or ("gopher", "c4", "fineweb"), limits))[
        0
    ]


def test_ordinary_prose_keeps_every_rule():
    assert first(GOOD) is None


@pytest.mark.parametrize("name", BREAKS)
def test_a_text_made_to_break_a_rule_breaks_it(name):
    assert first(BREAKS[name], name) == name
    assert first(GOOD, name) is None


def test_stop_words_are_asked_of_english_alone():
    assert first(BREAKS["gopher.stop_words"], "gopher.stop_words", english=False) is None


def test_limits_can_be_moved():
    assert first(GOOD, "gopher.words", **{"gopher.words": 1000}) == "gopher.words"


def test_mistakes_are_explained():
    with pytest.raises(UserError, match='unknown rule "gofer"') as problem:
        choose_rules(["gofer"], {})
    assert problem.value.hint == 'Did you mean "gopher"?'
    with pytest.raises(UserError, match="not in use"):
        choose_rules(["c4"], {"gopher.words": 10})


def test_every_rule_has_a_set():
    assert {name.split(".")[0] for name in RULES} == {"gopher", "c4", "fineweb"}
