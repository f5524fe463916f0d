import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from underdog.text import duplicates
from underdog.text.duplicates import alike, band_keys, exact_duplicates, exact_keys
from underdog.text.kernels.tokens import hash_tokens


def near_duplicates(texts, threshold):
    """As curation does it: only what shares a band with another is compared."""
    array = pa.array(list(texts), pa.large_string())
    keys = band_keys(hash_tokens(array), threshold)
    near = alike(keys)
    batches = [array.take(pa.array(near[start : start + 7])) for start in range(0, len(near), 7)]
    found = duplicates.near_duplicates(keys[near], batches, threshold)
    kept = dict(zip(near.tolist(), found, strict=True))
    return [None if kept.get(i) is None else int(near[kept[i]]) for i in range(len(array))]


def jaccard(a, b):
    """The definition, written out: sets of runs of five words."""
    first, second = ({tuple(t.lower().split()[i : i + 5]) for i in range(len(t.split()) - 4)} for t in (a, b))
    return len(first & second) / len(first | second)


def prose(seed, words=120):
    rng = random.Random(seed)
    names = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
    return " ".join(rng.choice(names) + str(rng.randrange(9))
                    for _ in range(words))  # fmt: skip


def changed(text, seed, words):
    rng = random.Random(seed)
    parts = text.split()
    for index in rng.sample(range(len(parts)), words):
        parts[index] = f"changed{index}"
    return " ".join(parts)


def test_exact_duplicates_point_at_the_first_whatever_case_and_spaces():
    texts = ["A text.", "another", "a  TEXT.\n", "A text!", "A text."]
    assert exact_duplicates(exact_keys(hash_tokens(texts))) == [None, None, 0, None, 0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 12)), min_size=1, max_size=12),
       st.sampled_from([0.4, 0.7, 0.9]))  # fmt: skip
def test_what_goes_resembles_what_stays_and_what_stays_is_different(recipe, threshold):
    texts = [changed(prose(base), seed, words) for base, seed, words in recipe]
    kept = near_duplicates(texts, threshold)
    stays = [i for i, like in enumerate(kept) if like is None]
    assert stays[0] == 0
    for index, like in enumerate(kept):
        if like is not None:
            assert like in stays
            assert like < index
            assert jaccard(texts[index], texts[like]) >= threshold
    # LSH may miss a pair just above the threshold; well above it there is no excuse
    clear = threshold + 0.05
    assert all(jaccard(texts[a], texts[b]) < clear for a in stays for b in stays if a < b)


@pytest.mark.parametrize("threshold", [0.5, 0.65, 0.8])
def test_pairs_at_the_threshold_are_found(threshold):
    pairs = [(prose(n), changed(prose(n), n, words)) for n in range(60) for words in range(1, 11)]
    close = [pair for pair in pairs if threshold <= jaccard(*pair) < threshold + 0.05]
    assert len(close) > 25
    assert sum(near_duplicates(pair, threshold)[1] == 0 for pair in close) >= 0.97 * len(close)


def test_likeness_is_not_passed_on_along_chains():
    first = prose(1)
    second = changed(first, 2, 4)
    third = changed(second, 3, 4)
    between = min(jaccard(first, second), jaccard(second, third))
    assert jaccard(first, third) < between
    threshold = (jaccard(first, third) + between) / 2
    assert near_duplicates([first, second, third], threshold) == [None, 0, None]


def test_twice_the_same_answer():
    texts = [changed(prose(base), seed, 3) for base in range(4) for seed in range(5)]
    assert near_duplicates(texts, 0.7) == near_duplicates(texts, 0.7)


def test_texts_without_five_words_are_compared_whole():
    texts = ["two words", "two words", "other words", "", ""]
    assert near_duplicates(texts, 0.7) == [None, 0, None, None, None]
    assert near_duplicates([], 0.7) == []


def test_thousands_of_variations_just_below_the_threshold_are_not_all_compared(monkeypatch):
    compared = []
    monkeypatch.setattr(duplicates, "jaccard", lambda a, b: compared.append(1) or 0.0)
    texts = [changed(prose(1), seed, 6) for seed in range(200)]
    assert near_duplicates(texts, 0.7) == [None] * 200
    assert len(compared) <= 200 * duplicates._MOST_COMPARED


def test_nothing_to_compare():
    assert exact_duplicates([]) == []
    assert alike(np.zeros((0, 8), np.uint32)).tolist() == []
