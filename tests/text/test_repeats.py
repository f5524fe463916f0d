import re

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from underdog.text.kernels.parts import find_parts
from underdog.text.repeats import find_repeats, part_hashes, without_repeats

NOTICE = "This site uses cookies to give you a better experience of it."
OWN = [f"Paragraph number {n} of this page is its own, and no other page has it." for n in range(20)]
TEXTS = [f"{OWN[n]}\n\n{NOTICE}\n\nShort." for n in range(6)]


def repeats(texts, kind, most):
    documents, hashes = part_hashes(pa.array(texts, pa.large_string()), kind)
    return find_repeats(hashes, documents, most)


def without(texts, kind, known):
    changed = without_repeats(pa.array(texts, pa.large_string()), np.arange(len(texts)), kind, known)
    return [changed.get(row, text) for row, text in enumerate(texts)]


def test_a_paragraph_of_many_documents_stays_in_the_first_alone():
    known = repeats(TEXTS, "paragraph", 5)
    assert known.documents.tolist() == [0]
    left = without(TEXTS, "paragraph", known)
    assert left[0] == TEXTS[0]
    assert left[1:] == [f"{OWN[n]}\n\nShort." for n in range(1, 6)]
    assert len(repeats(TEXTS, "paragraph", 6).hashes) == 0


def test_lines_go_by_themselves_and_the_others_keep_their_place():
    texts = [f"{NOTICE}\n    {OWN[n]}\n\n{OWN[n + 6]}" for n in range(4)]
    known = repeats(texts, "line", 3)
    assert without(texts, "line", known)[2] == f"{OWN[2]}\n\n{OWN[8]}"


def test_a_part_counts_once_a_document():
    assert len(repeats([f"{NOTICE}\n\n{NOTICE}"] * 2, "paragraph", 2).hashes) == 0


@given(st.lists(st.text(alphabet="aé \t\n", max_size=60), max_size=4), st.booleans(), st.integers(1, 4))
def test_parts_are_those_of_plain_python(texts, by_line, shortest):
    parts = find_parts(texts, by_line, shortest)
    said = list(zip(parts.rows.tolist(), cut(texts, parts), parts.hashes.tolist(), strict=True))
    expected = []
    for row, text in enumerate(texts):
        pieces = text.split("\n") if by_line else re.split(r"(?:\A|\n)(?:[ \t]*\n)+", text)
        expected += [(row, piece.strip()) for piece in pieces if len(piece.strip()) >= shortest]
    assert [(row, part) for row, part, _ in said] == expected
    assert len({hash_ for *_, hash_ in said}) == len({part for _, part in expected})


def cut(texts, parts):
    places = zip(parts.rows, parts.begins, parts.ends, strict=True)
    return [texts[row].encode()[begin:end].decode().strip() for row, begin, end in places]
