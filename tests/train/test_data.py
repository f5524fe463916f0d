import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.tokens.shards import Shard, write_shard
from underdog.tokens.streams import Stream
from underdog.train.batch import Example
from underdog.train.data import Shuffled, packed_rows
from underdog.train.strategy import PART_TOKENS

CONTEXT = 8


def stream(folder, lengths, name="a", seed=3):
    """Documents whose ids tell where they come from: 100 * document + place."""
    write_shard(folder, name, [[100 * i + j for j in range(length)] for i, length in enumerate(lengths)], 1 << 16)
    return Stream(Shard(folder, name), seed)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.lists(st.integers(0, 200), min_size=1, max_size=5))
def test_rows_are_the_stream_cut_at_its_documents(tmp_path_factory, lengths, positions):
    source = stream(tmp_path_factory.mktemp("shard"), lengths)
    (batch,) = packed_rows([("a", position) for position in positions], {"a": source}, CONTEXT, PART_TOKENS)
    covered = np.zeros(batch.tokens, int)
    for span in batch.spans:
        here = slice(span.start, span.start + span.length)
        covered[here] += 1
        ids, targets = batch.ids_N[here].numpy(), batch.targets_N[here].numpy()
        assert span.prefix_length == 0
        assert span.start // CONTEXT == (span.start + span.length - 1) // CONTEXT  # inside one row
        assert (np.diff(ids) == 1).all()  # one document without a gap
        assert (ids[1:] == targets[:-1]).all()
        document, place = divmod(int(ids[-1]), 100)
        at_end = place == lengths[document] - 1
        assert batch.weights_N[here].tolist() == [1.0] * (span.length - 1) + [float(not at_end)]
        if not at_end:
            assert targets[-1] == ids[-1] + 1
    assert (covered == 1).all()
    for row, position in enumerate(positions):
        tokens, _ = source.read(position, CONTEXT)
        assert batch.ids_N[row * CONTEXT : (row + 1) * CONTEXT].tolist() == tokens.tolist()


def test_rows_that_follow_each_other_teach_every_token_once(tmp_path):
    source = stream(tmp_path, [5, 9, 1, 20, 3, 11])
    epoch = len(source.shard)
    rows = [("a", position) for position in range(0, epoch * CONTEXT, CONTEXT)]  # as many epochs as make whole rows
    taught = [
        (int(one), int(target))
        for part in packed_rows(rows, {"a": source}, CONTEXT, PART_TOKENS)
        for one, target, weight in zip(part.ids_N, part.targets_N, part.weights_N, strict=True)
        if weight
    ]
    inside = [
        (100 * i + j, 100 * i + j + 1) for i, length in enumerate([5, 9, 1, 20, 3, 11]) for j in range(length - 1)
    ]
    assert sorted(taught) == sorted(inside * CONTEXT)


def test_rows_come_from_several_sources_and_in_parts(tmp_path):
    streams = {name: stream(tmp_path, [50, 50], name, seed) for seed, name in enumerate("ab")}
    length = PART_TOKENS // 2
    rows = [("a", 0), ("b", 0), ("a", length), ("b", length), ("a", 2 * length)]
    parts = packed_rows(rows, streams, length, PART_TOKENS)
    assert [part.tokens for part in parts] == [PART_TOKENS, PART_TOKENS, length]
    whole = np.concatenate([part.ids_N.numpy() for part in parts])
    for index, (name, position) in enumerate(rows):
        assert (whole[index * length : (index + 1) * length] == streams[name].read(position, length)[0]).all()
    long = packed_rows([("a", 0), ("b", 0)], streams, PART_TOKENS + 1, PART_TOKENS)
    assert [part.tokens for part in long] == [PART_TOKENS + 1] * 2  # a longer row stands alone


EXAMPLES = [Example([i] * (4 + i % 3), [True] * (4 + i % 3)) for i in range(11)]


def test_shuffled_reads_each_example_once_an_epoch():
    shuffled = Shuffled(EXAMPLES, 10, seed=1)
    assert shuffled.per_step == 2
    seen = [example.ids[0] for step in range(11) for example in shuffled.at(step)]
    assert sorted(seen[:11]) == sorted(seen[11:]) == list(range(11))
    assert seen[:11] != seen[11:]
    assert shuffled.epochs(11) == 2


@given(st.lists(st.integers(0, 100), min_size=1, max_size=10), st.integers(1, 100))
def test_shuffled_is_a_pure_function_of_the_step(steps, batch_tokens):
    shuffled = Shuffled(EXAMPLES, batch_tokens, seed=2)
    assert [shuffled.at(step) for step in steps] == [Shuffled(EXAMPLES, batch_tokens, 2).at(step) for step in steps]


@pytest.mark.parametrize(("batch_tokens", "per_step"), [(1, 1), (5, 1), (49, 10), (10_000, 11)])
def test_a_step_holds_about_the_tokens_asked_for(batch_tokens, per_step):
    shuffled = Shuffled(EXAMPLES, batch_tokens, seed=1)
    assert shuffled.per_step == per_step
    assert {len(shuffled.at(step)) for step in range(20)} == {per_step}
