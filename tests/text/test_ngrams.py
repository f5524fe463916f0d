import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from underdog.text.ngrams import WordHashes, ngram_hashes, split_tokens, split_words

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=12)


@given(WORDS, st.integers(min_value=1, max_value=5))
def test_ngrams_are_equal_exactly_where_the_words_are(words, n):
    hashes = ngram_hashes(WordHashes().of(words), n).tolist()
    runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    assert len(hashes) == len(runs)
    assert len(set(zip(hashes, runs, strict=True))) == len(set(hashes)) == len(set(runs))


def test_hashes_are_the_same_in_every_process():
    # hash() of a string would differ from one process to the next, and near-duplicates with it
    assert WordHashes().of(["word"]).tolist() == [0x958EC7D727CFA44A]


def test_no_words_no_ngrams():
    assert len(ngram_hashes(np.array([], dtype=np.uint64), 3)) == 0


def test_words_ignore_case_and_symbols_but_tokens_keep_symbols():
    assert split_words("Two plus-two, été!") == ["two", "plus", "two", "été"]
    assert split_tokens("3 + 5") != split_tokens("3 - 5")
