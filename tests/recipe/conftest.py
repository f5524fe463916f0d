import pytest

from underdog.recipe.load import load_recipe


@pytest.fixture
def recipe_file(tmp_path):
    """Writes a recipe and returns its path."""

    def write(text, name="a.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def resolve(recipe_file):
    """Text of a recipe -> the resolved recipe."""
    return lambda text="", *overrides, scale=1.0: load_recipe(recipe_file(text), overrides, scale)
