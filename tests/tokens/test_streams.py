from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.tokens.shards import Shard, write_shard
from underdog.tokens.streams import Stream

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=10)


def make(tmp_path_factory, lengths):
    """A shard whose tokens are all different: document d is d * 100, d * 100 + 1, …"""
    folder = tmp_path_factory.mktemp("shard")
    documents = [[100 * number + place for place in range(length)] for number, length in enumerate(lengths)]
    write_shard(folder, "high", documents, 5000)
    return Shard(folder, "high"), documents


@given(LENGTHS, st.integers(0, 2**63), st.data())
def test_reading_in_pieces_is_reading_at_once(tmp_path_factory, lengths, seed, data):
    shard, _ = make(tmp_path_factory, lengths)
    total = 3 * len(shard)
    ids, starts = Stream(shard, seed).read(0, total)
    stream = Stream(shard, seed)
    for _ in range(5):
        position = data.draw(st.integers(0, total - 1))
        count = data.draw(st.integers(1, total - position))
        piece, edges = stream.read(position, count)
        assert np.array_equal(piece, ids[position : position + count])
        assert np.array_equal(edges, starts[position : position + count])


@given(LENGTHS, st.integers(0, 2**63), st.integers(0, 1000))
def test_an_epoch_is_every_document_once_and_whole(tmp_path_factory, lengths, seed, epoch):
    shard, documents = make(tmp_path_factory, lengths)
    ids, starts = Stream(shard, seed).read(epoch * len(shard), len(shard))
    found = [part.tolist() for part in np.split(ids, np.flatnonzero(starts)) if len(part)]
    assert Counter(map(tuple, found)) == Counter(map(tuple, documents))


def test_the_order_changes_with_epoch_and_seed(tmp_path_factory):
    shard, _ = make(tmp_path_factory, [3] * 30)
    epochs = [Stream(shard, seed).read(epoch * 90, 90)[0].tolist() for seed in (1, 2) for epoch in (0, 1, 2)]
    assert len(set(map(tuple, epochs))) == 6


def test_every_document_comes_first_as_often_as_any_other(tmp_path_factory):
    shard, _ = make(tmp_path_factory, [1] * 4)
    stream = Stream(shard, seed=7)
    first = Counter(int(stream.read(4 * epoch, 1)[0][0]) // 100 for epoch in range(400))
    assert first.keys() == {0, 1, 2, 3}
    assert all(70 < count < 130 for count in first.values())


@pytest.mark.parametrize("position", [0, 10**12])
def test_far_positions_cost_what_near_ones_do(tmp_path_factory, position):
    """Resuming a long run must not replay it: only the epoch at hand is laid out."""
    shard, _ = make(tmp_path_factory, [5] * 4)
    ids, _ = Stream(shard, seed=1).read(position, 20)
    assert sorted(ids) == sorted(shard.tokens[:])
