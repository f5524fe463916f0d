import re
import tomllib
from pathlib import Path

import pytest

from underdog.errors import UserError, extra

REPO = Path(__file__).parent.parent


def test_a_package_that_is_missing_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with (
        pytest.raises(UserError, match=r"^A script needs yaml, which is not installed\.$") as error,
        extra("dialog", "A script"),
    ):
        import yaml  # noqa: F401
    assert error.value.hint == 'pip install "underdog[dialog]"'


def test_the_extras_that_errors_name_exist():
    known = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    source = "\n".join(path.read_text() for path in (REPO / "src").rglob("*.py"))
    named = {*re.findall(r'\bextra\("(\w+)"', source), *re.findall(r"underdog\[(\w+)\]", source)}
    assert {"tune", "verify"} <= named <= known.keys()
