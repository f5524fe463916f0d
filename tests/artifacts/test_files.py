import errno
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.artifacts.files import commit_folder, digest_file, digest_json, disk_errors, read_json, write_json
from underdog.errors import UserError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def shuffled(value):
    """Equal, with every object's keys in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_equal_values_have_equal_digests_whatever_their_order(value):
    assert digest_json(value) == digest_json(shuffled(value))


@given(VALUES, VALUES)
def test_values_that_json_tells_apart_have_different_digests(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_json(one) == digest_json(other)) == same


def test_digests_are_those_of_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_value_comes_back_and_nothing_else_is_left(tmp_path):
    value = {"name": "лиса 狐 \n", "latin": "caf\udce9.txt", "list": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", {"older": 1})
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "лиса 狐" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_value_that_cannot_be_written_leaves_the_older_one(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"b": object()})
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": 1', b"[" * 100_000, b"9" * 5000])
def test_what_is_not_json_names_its_file(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_what_cannot_be_read_names_its_file_and_the_remedy(tmp_path):
    with pytest.raises(UserError, match=r"b\.json is missing") as error:
        read_json(tmp_path / "b.json", "Look elsewhere.")
    assert error.value.hint == "Look elsewhere."
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_json(tmp_path)


def test_a_committed_folder_replaces_the_older_one(tmp_path):
    for name in ("draft", "final"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / name).write_text(name)
    (tmp_path / "draft" / "dangling").symlink_to("nowhere")
    commit_folder(tmp_path / "draft", tmp_path / "final")
    assert not (tmp_path / "draft").exists()
    assert [path.name for path in (tmp_path / "final" / "inner").iterdir()] == ["draft"]


def test_other_errors_pass_through(tmp_path):
    for problem in (ValueError("x"), FileNotFoundError(errno.ENOENT, "gone"), OSError("bad header"), UserError("y")):
        with pytest.raises(type(problem)) as error, disk_errors(tmp_path):
            raise problem
        assert error.value is problem


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_a_place_that_refuses_names_itself(tmp_path, number):
    with pytest.raises(UserError, match=r"^/some/where: ") as error, disk_errors(tmp_path):
        raise OSError(number, "in another language", "/some/where")
    assert "--runs" in error.value.hint


WRITERS = {
    "python": "(disk / 'a').write_bytes(bytes(400_000))",
    "json": "from underdog.artifacts.files import write_json; write_json(disk / 'a', 'x' * 400_000)",
    "numpy": "import numpy; numpy.save(disk / 'a.npy', numpy.zeros(100_000))",
    "safetensors": "import numpy, safetensors.numpy as s; s.save_file({'a': numpy.zeros(100_000)}, disk / 'a')",
    "tokenizers": "from tokenizers import Tokenizer, models as m; "
    "Tokenizer(m.BPE({str(i): i for i in range(30_000)}, [])).save(str(disk / 'a'))",
    "parquet": "import numpy, pyarrow, pyarrow.parquet as p; "
    "p.write_table(pyarrow.table({'a': numpy.random.default_rng(1).random(100_000)}), disk / 'a')",
}
ON_A_FULL_DISK = """
import os
from pathlib import Path
from underdog.artifacts.files import disk_errors
from underdog.errors import UserError
disk = Path(os.environ["DISK"])
try:
    with disk_errors(disk):
        {writer}
except UserError as problem:
    print(problem, problem.hint)
"""


@pytest.mark.parametrize("library", WRITERS)
def test_a_full_disk_says_so_whatever_library_writes(small_disk, library):
    """Some lose the error's number on the way."""
    ended = small_disk([sys.executable, "-c", ON_A_FULL_DISK.format(writer=WRITERS[library])], size="256k")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"The disk that holds {small_disk.folder} is full. Free some space")


def test_no_torch():
    code = "import sys, underdog.artifacts.store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
