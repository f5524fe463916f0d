from hypothesis import given
from hypothesis import strategies as st

from underdog.text.document import make_document, split_long

LINES = st.text(alphabet=st.sampled_from("ab \n\t.é"), max_size=400)


def test_equal_texts_have_equal_ids_wherever_they_come_from():
    first = make_document("  A text.\n", "one", "here")
    second = make_document("A text.", "two")
    assert first.id == second.id
    assert first.text == "A text."
    assert make_document("A text!", "one").id != first.id


@given(LINES, st.integers(min_value=1, max_value=60))
def test_pieces_join_to_the_text_and_none_is_too_long(text, longest):
    pieces = list(split_long(text, longest))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= longest for piece in pieces)


def test_cuts_fall_between_paragraphs_where_they_can():
    paragraphs = [f"Paragraph {n} says something." for n in range(6)]
    pieces = list(split_long("\n\n".join(paragraphs), longest=70))
    assert [line for piece in pieces for line in piece.split("\n\n") if line] == paragraphs
    assert len(pieces) == 3


def test_short_text_stays_whole():
    assert list(split_long("One.\n\nTwo.", longest=100)) == ["One.\n\nTwo."]
