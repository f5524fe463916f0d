"""Worker processes, with work that any Python has: the test's own functions cannot be imported there."""

import os
import shutil

import pytest

from underdog.errors import UserError
from underdog.text.workers import Inline, Processes, hire


@pytest.mark.parametrize("count", [1, 2])
def test_every_item_is_done_once(tmp_path, count):
    source = tmp_path / "source"
    source.write_text("text")
    items = [(tmp_path / str(number),) for number in range(9)]
    with hire(count, "here") as workers:
        assert isinstance(workers, Inline if count == 1 else Processes)
        assert sorted(workers.run(shutil.copy, source, items)) == items
    assert all(path.read_text() == "text" for (path,) in items)


def test_an_error_in_a_worker_arrives_here(tmp_path):
    with hire(2, "here") as workers, pytest.raises(FileNotFoundError):
        list(workers.run(shutil.copy, tmp_path / "nowhere", [(tmp_path / "copy",)]))


def test_a_worker_that_is_killed_is_an_error_that_says_what_to_do():
    with hire(2, "here") as workers, pytest.raises(UserError, match="ended before its work did") as problem:
        list(workers.run(os._exit, 1, [()]))
    assert "kept" in problem.value.hint


def test_an_unknown_place_is_named():
    with pytest.raises(UserError, match="rey") as problem, hire(2, "rey"):
        pass
    assert problem.value.hint == 'Did you mean "ray"?'
