import re

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from underdog.text.kernels.tokens import hash_tokens

PIECES = ["the", "Heap", "x_1", "3", "+", "-", " ", "\n", "собака", "Ёж", "été", "«", "…", "😀", "()"]


def tokens(*texts):
    return hash_tokens(pa.array(texts, pa.large_string()))


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=4))
def test_hashes_are_equal_exactly_where_words_and_symbols_are(texts):
    found = tokens(*texts)
    split = [re.findall(r"\w+|[^\w\s]", text.lower()) for text in texts]
    assert np.diff(found.offsets).tolist() == list(map(len, split))
    flat = [token for part in split for token in part]
    assert len(set(zip(found.hashes.tolist(), flat, strict=True))) == len(set(found.hashes.tolist())) == len(set(flat))
    assert found.words.tolist() == [bool(re.match(r"\w", token)) for token in flat]


def test_a_slice_of_an_array_is_read_as_such():
    array = pa.array(["one two", "three", "", "four five six"], pa.large_string())
    assert hash_tokens(array.slice(1, 3)).hashes.tolist() == tokens("three", "", "four five six").hashes.tolist()
    assert len(hash_tokens(array.slice(4)).hashes) == 0


def test_letters_of_scripts_without_spaces_are_words_of_their_own():
    found = tokens("我喜欢猫，喜欢狗。")
    assert found.words.tolist() == [True] * 4 + [False] + [True] * 3 + [False]
    assert found.hashes[1] == found.hashes[5]


def test_hashes_are_the_same_in_every_process():
    # a kept shard of an earlier run is compared with what a new process finds
    assert [hex(value) for value in tokens("word").hashes.tolist()] == ["0xd570d3bff14ee9f8"]
