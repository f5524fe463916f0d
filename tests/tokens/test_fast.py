"""tiktoken's ids are those of the tokenizers library, which trained the merges."""

import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from underdog.tokens.fast import fast_encoder
from underdog.tokens.tokenizer import MARKS, SPLITTERS, Tokenizer

SPLITTER = pytest.mark.parametrize("splitter", SPLITTERS)
PATTERNS = SPLITTERS.values()
SPACES = "\x1c\x1f\x85\xa0\u1680\u180e\u2000\u2028\u202f\u3000\u200b\ufeff\v\f\r\n\t "
TRICKY = st.text(st.sampled_from([*SPACES, *"'sSſtTrReElLdDmMİKaб中½٣_-.1", "\u0301"]), max_size=40)
MARKED = st.lists(st.sampled_from([*MARKS, "<|im_end|>", "<|endoftext|>", " ", "\n", "a"]), max_size=12).map("".join)


@SPLITTER
@given(texts=st.lists(st.text() | TRICKY | MARKED, max_size=8))
def test_the_same_ids_as_one_by_one(tokenizer_for, splitter, texts):
    tokenizer = tokenizer_for(splitter)
    assert fast_encoder(tokenizer.core, PATTERNS)(texts) == [tokenizer.encode(text) for text in texts]


@SPLITTER
def test_the_same_ids_of_ordinary_text(tokenizer_for, splitter, strings):
    tokenizer = tokenizer_for(splitter)
    assert fast_encoder(tokenizer.core, PATTERNS)(strings) == [tokenizer.encode(text) for text in strings]


def _changed(tokenizer, **changes):
    return tokenizers.Tokenizer.from_str(json.dumps(json.loads(tokenizer.core.to_str()) | changes))


def test_what_tiktoken_would_read_otherwise_stays_with_its_library(tokenizer, strings):
    definition = json.loads(tokenizer.core.to_str())
    first, second, *rest = definition["model"]["merges"]
    others = [
        _changed(tokenizer, normalizer={"type": "NFC"}),
        _changed(tokenizer, model=definition["model"] | {"merges": [second, first, *rest]}),
        _changed(
            tokenizer,
            pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        ),
        _changed(tokenizer, added_tokens=[token | {"lstrip": True} for token in definition["added_tokens"]]),
    ]
    assert [fast_encoder(core, PATTERNS) for core in others] == [None] * 4
    assert fast_encoder(tokenizer.core, ()) is None
    for core in others:
        slow = Tokenizer(core)
        assert slow.encode_many(strings[:20]) == [slow.encode(text) for text in strings[:20]]
