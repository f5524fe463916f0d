import pickle
import random

import pytest

from underdog.text.decontaminate import HeldOut
from underdog.text.kernels.tokens import hash_tokens

RNG = random.Random(1)


def countdown(numbers):
    listed = ", ".join(map(str, numbers[:-1]))
    return (
        f"Using all of the numbers {listed}, write an expression that equals {numbers[-1]}. Each number "
        "may be used only once, with the operations + - * and /, and the answer stands on the last line."
    )


PROBLEMS = {f"countdown-{i}": countdown([RNG.randrange(1, 1000) for _ in range(5)]) for i in range(50)}
PROSE = "The heap keeps its smallest element at the root, so that it can be taken away quickly. " * 3


def verdict(text, items=PROBLEMS, share=0.5):
    found = worst(text, items)
    return found.item if found and found.share > share else None


def worst(text, items):
    return HeldOut(items).overlaps(hash_tokens([text]))[0]


@pytest.mark.parametrize("name", ["countdown-0", "countdown-17", "countdown-49"])
def test_a_planted_problem_is_found_and_named(name):
    planted = PROSE + PROBLEMS[name].upper().replace(" ", "\n") + PROSE
    assert verdict(planted) == name


def test_the_template_alone_contaminates_nothing():
    assert verdict(PROSE + countdown([1001, 1002, 1003, 1004, 1005])) is None
    assert verdict(PROSE) is None


def test_the_share_is_of_the_item_and_must_be_exceeded():
    items = {"q": " ".join(f"word{i}" for i in range(40))}
    half = " ".join(f"word{i}" for i in range(20))
    assert worst(half, items) == ("q", 0.5)
    assert verdict(half, items, share=0.5) is None
    assert verdict(half, items, share=0.49) == "q"


def test_the_item_that_is_covered_most_is_named():
    items = {"a": " ".join(f"a{i}" for i in range(20)), "b": " ".join(f"b{i}" for i in range(20))}
    text = " ".join([f"a{i}" for i in range(12)] + [f"b{i}" for i in range(15)])
    assert worst(text, items) == ("b", 0.75)


def test_short_items_must_occur_as_a_whole():
    items = {"sum": "What is 31 + 7?", "product": "What is 31 * 7?"}
    assert verdict("Question: what is 31 + 7? Answer: 38", items) == "sum"
    assert verdict("Question: what is 31 * 7? Answer: 217", items) == "product"
    assert verdict("Question: what is 31 - 7? Answer: 24", items) is None


def test_items_too_short_to_tell_are_counted_and_not_looked_for():
    held_out = HeldOut({"a": "3 + 5 =", "b": "one two three four five six seven eight"})
    assert (held_out.names, held_out.too_short) == (["b"], 1)
    assert held_out.overlaps(hash_tokens(["it is clear that 3 + 5 = 8"])) == [None]


def test_the_same_item_twice_is_still_looked_for():
    items = {"first": PROBLEMS["countdown-3"], "again": PROBLEMS["countdown-3"]}
    assert verdict(PROBLEMS["countdown-3"], items) == "first"


def test_nothing_held_out_contaminates_nothing():
    assert verdict(PROSE, {}) is None


def test_many_texts_at_once_are_told_apart():
    texts = [PROSE, PROBLEMS["countdown-3"], "", PROSE + PROBLEMS["countdown-9"]]
    found = HeldOut(PROBLEMS).overlaps(hash_tokens(texts))
    assert [overlap and overlap.item for overlap in found] == [None, "countdown-3", None, "countdown-9"]


def test_it_goes_to_another_process_as_it_is():
    held_out = pickle.loads(pickle.dumps(HeldOut(PROBLEMS)))
    assert held_out.overlaps(hash_tokens([PROBLEMS["countdown-3"]]))[0].item == "countdown-3"
