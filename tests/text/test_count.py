"""The kernels against what a reader counts, and against plain Python on any text."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.text.kernels.characters import characters
from underdog.text.kernels.count import count, count_with_words
from underdog.text.kernels.hashing import hash_word, lexicon, look_up
from underdog.text.lexicons import EXPLAINING, FUNCTION, STOP_WORD

DOCUMENT = """\
The list is sorted in place. It keeps
equal items in their order, so that a second
sort can refine the first!

    def sort(items):
        items.sort(key=lambda item: item.price)
        return items

>>> sorted([3, 1, 2])
[1, 2, 3]

THIS SENTENCE IS SHOUTED AT YOU BY A LICENCE.
too short.
"""

ANY_TEXT = st.text(max_size=300) | st.text(alphabet=" a.B\n\"'(>#_=-é中я\x00!", max_size=400)


def one(text):
    counts = count([text])
    return lambda name: int(getattr(counts, name)[0])


def words_of(text):
    _, offsets, words = count_with_words([text])
    assert offsets.tolist() == [0, len(words)]
    return words.tolist()


def test_what_a_reader_counts():
    counted = one(DOCUMENT)
    assert counted("sentences") == 2  # not the code, not the shouting, not the short one
    assert counted("sentence_words") == 22
    assert counted("code_lines") == 4  # three of the function, one result of the session
    assert counted("examples") == 1
    assert counted("paragraphs") == 4
    assert counted("reasoning") == 2  # "equal", "so that"


def test_words_are_split_as_the_rules_expect():
    words = ("do", "n't", "stop", "e.g", "here", "it", "'s", "well", "known", "a", "b", "http://a.b/c?d=1", "foo(x")
    text = "Don't stop (e.g. here). It's well-known: a/b, http://a.b/c?d=1 foo(x)!"
    assert words_of(text) == [hash_word(word) for word in words]


def test_letters_of_other_scripts_are_letters_and_han_stands_alone():
    russian = "Список сортируется прямо на месте. Равные элементы остаются в прежнем порядке."
    assert one(russian)("sentences") == 2
    assert one(russian)("code_lines") == 0
    assert words_of("中文字。") == [hash_word(char) for char in "中文字"]
    assert words_of("ЁЛКА Straße") == [hash_word("ёлка"), hash_word("straße")]


def test_dialogue_is_not_code_and_escapes_are_not_latex():
    assert one('"Come here," she said.\n"Why?" he asked, and stayed where he was.')("code_lines") == 0
    assert one(r"The sum $\sum_i x_i$ is finite, and so is $\frac{1}{2}$.")("mathematical") == 2
    assert one(r"'\xeb'  # 0xEB -> LATIN SMALL LETTER E")("code_lines") == 1


def test_repetition_is_counted_in_characters():
    counted = one("a bc d e f a bc d e f")
    assert counted("top_2") == 2 * len("a bc")
    assert counted("repeated_5") == len("abcdef")
    assert counted("repeated_6") == 0


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dd"]), max_size=60))
def test_repetition_is_that_of_the_definition(words):
    counted = one(" ".join(words))
    for size in range(2, 11):
        runs = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
        if size <= 4:
            most = max(runs, key=runs.count, default=())  # of equals the first
            assert counted(f"top_{size}") == len(" ".join(most)) * runs.count(most)
            continue
        seen, start, characters = set(), 0, 0
        while start < len(runs):
            again = runs[start] in seen
            seen.add(runs[start])
            characters += again * len("".join(runs[start]))
            start += size if again else 1
        assert counted(f"repeated_{size}") == characters


def test_order_matters_to_hashes():
    assert one("one two\nthree four\n\nthree four\none two")("duplicate_paragraphs") == 0
    assert one("a b c d e f\nb a c d e f")("repeated_5") == 0


def test_lines_and_paragraphs_that_came_before():
    counted = one("one two\nthree\n\none two\nthree\n\none two\nfour")
    assert (counted("duplicate_lines"), counted("duplicate_line_characters")) == (3, 7 + 5 + 7)
    assert (counted("duplicate_paragraphs"), counted("duplicate_paragraph_characters")) == (1, 13)


def test_the_lexicon_finds_words_and_phrases():
    def lists(word):
        return int(look_up(lexicon().keys, lexicon().masks, np.uint64(hash_word(word))))

    assert lists("the") & FUNCTION and lists("the") & STOP_WORD
    assert lists("например") == EXPLAINING
    assert lists("tree") == 0
    assert one("Bread, for example, is made of flour.")("explaining") == 1
    assert one("Это значит, например, что хлеб пекут из муки каждый день.")("explaining") == 2


@given(ANY_TEXT)
def test_plain_figures_are_those_of_plain_python(text):
    text = text.encode("utf-8", "ignore").decode()
    counted = one(text)
    kinds = characters().kind
    assert counted("characters") == len(text)
    assert counted("newlines") == text.count("\n")
    assert counted("hashes") == text.count("#")
    assert counted("visible") == sum(not char.isspace() for char in text if ord(char) < len(kinds)) + sum(
        ord(char) >= len(kinds) for char in text
    )
    assert counted("runs") == len(text.split())
    assert counted("lines") == len([line for line in re.split("\n", text) if line.strip()])
    lines = [line.split() for line in text.split("\n") if line.strip()]
    assert counted("duplicate_lines") == len(lines) - len({tuple(line) for line in lines})


@given(st.lists(ANY_TEXT.map(lambda text: text.encode("utf-8", "ignore").decode()), max_size=5))
def test_neighbours_change_nothing(texts):
    together = count(pa.array(texts, pa.large_string())).values
    assert together.tolist() == [count([text]).values[0].tolist() for text in texts]


def test_slices_and_nulls():
    array = pa.array(["no", "A b c.", None, "d"], pa.string())[1:3]
    assert count(array).words.tolist() == [3, 0]


@pytest.mark.parametrize("text", ["x" * 3_000_000, "a " * 500_000, "\n" * 1_000_000, "。" * 500_000])
def test_monstrous_texts_are_counted_too(text):
    assert one(text)("characters") == len(text)
