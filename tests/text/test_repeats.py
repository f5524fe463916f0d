import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from underdog.text.repeats import find_repeats, part_hashes, without_repeats

NOTICE = "This site uses cookies to give you a better experience of it."
OWN = [f"Paragraph number {n} of this page is its own, and no other page has it." for n in range(20)]
TEXTS = [f"{OWN[n]}\n\n{NOTICE}\n\nShort." for n in range(6)]


def repeats(texts, kind, most):
    found = [(hash_, number) for number, text in enumerate(texts) for hash_ in part_hashes(text, kind)]
    hashes, documents = zip(*found, strict=True)
    return find_repeats(np.array(hashes, np.uint64), np.array(documents, np.int64), most)


def test_a_paragraph_of_many_documents_stays_in_the_first_alone():
    known = repeats(TEXTS, "paragraph", 5)
    assert list(known.values()) == [0]
    left = [without_repeats(text, n, [("paragraph", known)]) for n, text in enumerate(TEXTS)]
    assert left[0] == TEXTS[0]
    assert left[1:] == [f"{OWN[n]}\n\nShort." for n in range(1, 6)]
    assert repeats(TEXTS, "paragraph", 6) == {}


def test_lines_go_by_themselves_and_the_others_keep_their_place():
    texts = [f"{NOTICE}\n    {OWN[n]}\n\n{OWN[n + 6]}" for n in range(4)]
    known = repeats(texts, "line", 3)
    assert without_repeats(texts[2], 2, [("line", known)]) == f"{OWN[2]}\n\n{OWN[8]}"


def test_a_part_counts_once_a_document():
    assert repeats([f"{NOTICE}\n\n{NOTICE}"] * 2, "paragraph", 2) == {}


@given(st.text(alphabet="ab \n", max_size=200), st.sampled_from(["line", "paragraph"]))
def test_without_repeats_nothing_changes(text, kind):
    text = text.strip()
    assert without_repeats(text, 0, [(kind, {1: 2})]) == text
