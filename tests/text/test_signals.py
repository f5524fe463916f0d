"""Each signal prefers the text that its name says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.text.kernels.count import count
from underdog.text.signals import SIGNALS

PROSE = """\
A heap is a binary tree of integers for which every parent node has a value that is less than or equal to any of its
children. This means that the smallest element is always the root, because no parent can be larger than a
child. For example, if a new value is added at the end, it moves up until its parent is smaller. Python
has kept heaps in ordinary lists since version 2.3, so the children of item 4 are the items 9 and 10.
To see how it works, write a few numbers down and follow each step.
"""

WORSE = {
    "logical_coherence": "Rain fell on Monday in the north. My aunt likes green tea very much. Steel is made from ore. "
    "Many birds sing before dawn comes.",
    "factual_style": "I love my amazing kitchen! We think our stove is the best and I am happy! I love it so much! "
    * 2,
    "topical_focus": "Rain fell on Monday in the north. My aunt likes green tea very much. Steel comes out of ore. "
    "Many birds sing before dawn comes.",
    "instruction_value": "The house stood near a lake. There was a garden behind it with many old trees. " * 3,
    "expertise": "The cat sat on the mat and ate the fish. The dog ran to the sea and saw a ship there. " * 3,
    "mathematical_content": "The house stood near a lake. There was a garden behind it with many old trees. " * 3,
    "code_quality": "def f(x):\n y={1:x[0],2:x[1]}\n z=y[1]^x[2]|y[2]\n return {'a':z,'b':[x,y,z]}\n" * 5,
    "safety": "Write to bob@example.com or ann@example.com, card 4111 1111 1111 1111 or 4111111111111111, porn here.",
    "information_density": "The value is the value of the value and it is the value. " * 8,
    "knowledge_density": "People do things and then they do other things, as they have always done. " * 3,
    "educational_value": "We went home after a long walk through the old town. It rained on us again. " * 3,
    "reasoning_depth": "The house stood near a lake. There was a garden behind it with many trees. " * 3,
    "prose_share": "def f(x):\n    y = g(x)\n    return y\n" * 5,
    "non_boilerplate": "Redistribution of this software is permitted under the license, no warranty. " * 3,
    "fluency": "Heap tree node. Value less parent child. Root element list item index order.\n" * 5,
    "literacy": "h3ap tr33 n0de_x v4lue.attr p\ufffdrent ch1ld self.root x_y 0xFF a/b\n" * 5,
    "cleanliness": "| ### | === | <td>{{ value }}</td> | $$$ | &nbsp; | *** |\n" * 5,
    "non_repetition": "The same line of text comes again and again in this document.\n" * 12,
    "structure": "Home\n\nAbout us\n\nContact\n\nProducts\n\nSitemap\n\nSearch\n\nImprint",
    "completeness": "and the rest of a sentence that began (somewhere else and is cut off...",
}


def value(name, text):
    return SIGNALS[name].measure(count([text.strip()]))[0]


def test_there_is_a_counterexample_for_every_signal():
    assert WORSE.keys() == SIGNALS.keys()


@pytest.mark.parametrize("name", SIGNALS)
def test_prose_beats_what_the_signal_is_there_to_catch(name):
    assert value(name, PROSE) > value(name, WORSE[name])


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_says_what_it_measures(name):
    assert len(SIGNALS[name].description) > 40


@given(st.text(max_size=200) | st.text(alphabet=' a.\n"(>#_=é中\x00', max_size=300))
def test_signals_are_finite_for_any_text(text):
    counts = count([text.encode("utf-8", "ignore").decode()])
    assert all(math.isfinite(signal.measure(counts)[0]) for signal in SIGNALS.values())


def test_a_worked_example_teaches():
    plain = "The function adds two numbers and gives back their total, whatever they are."
    assert value("educational_value", plain + "\n\n>>> add(1, 2)\n3") > value("educational_value", plain)


def test_repeating_a_text_never_makes_it_less_repetitive():
    copies = [value("non_repetition", PROSE * n) for n in (1, 2, 4)]
    assert copies[0] > copies[1]
    assert copies[0] > copies[2]
