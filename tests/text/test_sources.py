from itertools import islice

import pytest

from underdog.errors import UserError
from underdog.text.sources import read_sources


def test_a_misspelt_source_is_named_and_guessed():
    with pytest.raises(UserError, match='"pyhton-docs"') as problem:
        read_sources(["pyhton-docs"], lambda reject: None)
    assert problem.value.hint == 'Did you mean "python-docs"?'


def test_a_missing_path_is_an_error_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_sources(["python-docs", f"{tmp_path}/nowhere"], lambda reject: None)


def test_named_corpora_and_the_users_files_mix_in_the_order_of_the_recipe(tmp_path):
    (tmp_path / "mine.txt").write_text("My own text.")
    documents = read_sources([str(tmp_path), "python-docs"], lambda reject: None)
    mine, first, second = islice(documents, 3)
    assert (mine.text, mine.source) == ("My own text.", str(tmp_path))
    assert first.source == second.source == "python-docs"
    assert first.origin.startswith("topic")
