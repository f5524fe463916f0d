import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from underdog.recipe.load import load_recipe
from underdog.report.settings import as_toml

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
plain = text | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
deep = plain | st.lists(plain, max_size=2) | st.dictionaries(text, plain | st.lists(plain, max_size=2), max_size=2)
tables = st.lists(st.dictionaries(text, deep, min_size=1, max_size=2), min_size=1, max_size=2)
section = st.dictionaries(text, deep | tables, min_size=1, max_size=3)


@settings(max_examples=50)
@given(st.dictionaries(text.filter(lambda name: name != "pretrain"), plain | section, max_size=3))
def test_toml_says_what_the_recipe_says(recipe):
    assert tomllib.loads(as_toml(recipe)) == recipe


@pytest.mark.parametrize("extra", ["", '[pretrain]\npreset = "cosine"\n[curate]\nsignals = { fluency = 0.5 }\n'])
def test_resolved_recipe_resolves_to_itself(tmp_path, extra):
    first = tmp_path / "a.toml"
    first.write_text(f'name = "a"\nthreads = 2\n{extra}')
    resolved = load_recipe(first, scale=0.3).recipe
    again = tmp_path / "b.toml"
    again.write_text(as_toml(resolved.model_dump(by_alias=True)))
    assert load_recipe(again).recipe == resolved


def test_own_phases_are_written_out(finished, tmp_path):
    recipe = finished.recipe.model_dump(by_alias=True)
    recipe["pretrain"]["preset"] = "own"
    path = tmp_path / "own.toml"
    path.write_text(as_toml(recipe))
    assert load_recipe(path).recipe.pretrain.phase == finished.recipe.pretrain.phase
