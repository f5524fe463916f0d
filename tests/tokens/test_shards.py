import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.tokens import shards
from underdog.tokens.shards import Shard, open_source, write_shard

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


def damaged(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_found_before_it_is_read(tmp_path, monkeypatch):
    """Opening is cheap; each block of tokens is checked when it is first read."""
    monkeypatch.setattr(shards, "BLOCK", 4)
    write_shard(tmp_path, "high", [[1, 2, 3, 4], [5, 6], [7, 8, 9]], 500)
    damaged(tmp_path / "high.tokens.npy")
    shard = Shard(tmp_path, "high")
    assert shard.read(0, 1, 10).tolist() == [2, 3, 4]
    assert shard.read(1, 0, 10).tolist() == [5, 6]
    with pytest.raises(UserError, match=r"high is damaged: the checksum of tokens 8 to 9 differs") as error:
        shard.read(2, 0, 10)
    assert "run the recipe again" in error.value.hint


def test_a_flipped_bit_in_the_offsets(tmp_path):
    write_shard(tmp_path, "high", [[1, 2, 3], [4, 5]], 500)
    damaged(tmp_path / "high.offsets.npy", -16)
    with pytest.raises(UserError, match="damaged"):
        Shard(tmp_path, "high")


def test_a_shard_of_another_tokenizer(tmp_path, tokenizer, tokenizer_for):
    write_shard(tmp_path, "high", [[1, 2, 3]], 500, tokenizer=tokenizer.fingerprint)
    assert len(Shard(tmp_path, "high", tokenizer.fingerprint)) == 3
    with pytest.raises(UserError, match="high is of another tokenizer"):
        Shard(tmp_path, "high", tokenizer_for("gpt-2").fingerprint)


@pytest.mark.parametrize("header", [None, "{}", "[]", '{"format": "other"}', "not json"])
def test_a_header_of_something_else(tmp_path, header):
    write_shard(tmp_path, "high", [[1, 2, 3]], 500)
    (tmp_path / "high.json").unlink() if header is None else (tmp_path / "high.json").write_text(header)
    with pytest.raises(UserError, match=r"high"):
        Shard(tmp_path, "high")


def test_sources_of_curated_text_can_be_read_by_name(tmp_path):
    texts = {"top": [[1, 2], [3], [4, 5]], "high": [[6]], "medium": [[7, 8], [9]]}
    origins = {"top": ["docs", "code", "docs"], "high": ["code"], "medium": ["code", "docs"]}
    for tier, documents in texts.items():
        write_shard(tmp_path, tier, documents, 500, sources=origins[tier])

    def all_of(name):
        source = open_source(tmp_path, name)
        read = [source.read(one, 0, 99).tolist() for one in range(source.documents)]
        assert source.lengths.tolist() == [len(ids) for ids in read] and len(source) == sum(map(len, read))
        return read

    assert all_of("top") == texts["top"]
    assert all_of("docs") == [[1, 2], [4, 5], [9]]
    assert all_of("top/docs") == [[1, 2], [4, 5]]
    assert all_of("high/docs") == [] and all_of("nowhere") == []
    assert open_source(tmp_path, "docs").read(1, 1, 5).tolist() == [5]
