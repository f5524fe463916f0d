import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from underdog.verify.sandbox.values import Unknown, decode, encode

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=50)
@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value):
    again = decode(encode(value))
    assert again == value and type(again) is type(value)


@pytest.mark.parametrize("value", [{1, 2}, frozenset({3}), range(1, 9, 2), 2j, bytearray(b"x"), int, "\ud800"])
def test_the_rarer_kinds_too(value):
    assert decode(encode(value)) == value


def test_subclasses_lose_what_they_add():
    class Same(int):
        def __eq__(self, other):
            return True

    again = decode(encode([Same(3)]))
    assert again == [3] and again != [4]


def test_an_iterator_is_not_a_list():
    again = decode(encode(iter([1, 2])))
    assert again != [1, 2] and list(again) == [1, 2]


def test_objects_go_by_number():
    kept = []
    sent = encode([object(), 1], lambda value: kept.append(value) or len(kept) - 1)
    assert sent == [{"object": 0}, 1]
    assert decode(sent, kept.__getitem__)[0] is kept[0]
    with pytest.raises(Unknown):
        encode(object())


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_whatever_is_sent_only_unknown_is_raised(data):
    with contextlib.suppress(Unknown):
        decode(data)


@pytest.mark.parametrize(
    "data", [{"int": "x"}, {"set": [[1]]}, {"type": "eval"}, {"object": 1}, {"a": 1, "b": 2}, 1.5j]
)
def test_what_encode_does_not_write_is_unknown(data):
    with pytest.raises(Unknown):
        decode(data)


def test_depth_has_an_end():
    deep = []
    for _ in range(200):
        deep = [deep]
    for act in (encode, decode):
        with pytest.raises(Unknown):
            act(deep)
