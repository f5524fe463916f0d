import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.tokens.shards import Shard, write_shard

DOCUMENTS = st.lists(st.lists(st.integers(0, 499), max_size=8), max_size=8)


@given(DOCUMENTS, st.sampled_from([500, 1 << 16, 70_000]))
def test_documents_come_back(tmp_path_factory, documents, vocabulary):
    folder = tmp_path_factory.mktemp("shard")
    documents = [[*document, vocabulary - 1] for document in documents]
    total = sum(map(len, documents))
    assert write_shard(folder, "high", iter(documents), vocabulary) == total
    shard = Shard(folder, "high")
    assert (shard.name, len(shard), shard.documents) == ("high", total, len(documents))
    assert shard.lengths.tolist() == [len(document) for document in documents]
    parts = [shard.tokens[low:high].tolist() for low, high in zip(shard.offsets[:-1], shard.offsets[1:], strict=True)]
    assert parts == documents
    assert shard.tokens.dtype == (np.uint32 if vocabulary > 1 << 16 else np.uint16)


def test_ids_that_do_not_fit_are_not_cut_to_size(tmp_path):
    with pytest.raises(OverflowError):
        write_shard(tmp_path, "high", [[1 << 16]], vocabulary=500)


def test_a_missing_shard(tmp_path):
    with pytest.raises(UserError, match="high cannot be read"):
        Shard(tmp_path, "high")


@pytest.mark.parametrize("name", ["tokens", "offsets"])
@pytest.mark.parametrize("keep", [0, 5, 100, -2])
def test_a_shard_that_was_cut_short(tmp_path, name, keep):
    write_shard(tmp_path, "high", [[1, 2, 3], [4, 5]], 500)
    path = tmp_path / f"high.{name}.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="high cannot be read"):
        Shard(tmp_path, "high")


def test_offsets_of_another_shard(tmp_path):
    write_shard(tmp_path, "high", [[1, 2, 3], [4, 5]], 500)
    np.save(tmp_path / "high.offsets.npy", np.array([0, 3, 9]))
    with pytest.raises(UserError, match="offsets do not match"):
        Shard(tmp_path, "high")
