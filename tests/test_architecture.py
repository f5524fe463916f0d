"""The map of the code holds: imports go downward only, in no circle, and no file has grown beyond one job."""

import ast
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import underdog

ROOT = Path(underdog.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FLOORS = [
    ["errors", "seeds", "lanes", "__init__"],
    ["world"],
    ["artifacts"],
    ["recipe"],
    ["tokens"],
    ["text", "verify"],
    ["model"],
    ["generate"],
    ["train", "synthesis", "tasks"],
    ["stages"],
    ["report", "serve"],
    ["cli_options", "jobs_cli", "talk_cli", "warm"],
    ["curate_cli", "data_cli"],
    ["cli"],
    ["__main__"],
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
LONGEST = 400  # lines


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module(path: Path) -> str:
    """ "train.batch" of train/batch.py, and "verify" of verify/__init__.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path) for path in FILES}


def imported(path: Path) -> set[str]:
    """The project's modules that a file imports, wherever in the file and however it is written."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}: imports are written in full"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix("underdog.") for name in names if name.startswith("underdog.")} & MODULES


def test_imports_are_seen_however_they_are_written(tmp_path):
    code = """
import os, underdog.cli
from underdog import seeds
from underdog.train import batch
if TYPE_CHECKING:
    from underdog.verify.gym import draw
def late():
    from underdog.errors import UserError
"""
    (tmp_path / "a.py").write_text(code)
    assert imported(tmp_path / "a.py") == {"cli", "seeds", "train", "train.batch", "verify.gym", "errors"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downward(path):
    here = room(path)
    for name in imported(path):
        there = name.split(".")[0]
        assert there == here or FLOOR[there] < FLOOR[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda path: path.stem)
def test_a_stage_imports_no_stage(path):
    if path.stem not in ("order", "pipeline", "ablate"):  # these three are about stages
        assert not {name for name in imported(path) if name.startswith("stages.")}


def test_no_circles():
    graph = {module(path): imported(path) for path in FILES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for below in graph.get(name, ()):
                visit(below, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_package_brings_every_file_along():
    """What an installed copy reads beside its code: pages, templates, tables."""
    settings = tomllib.loads((ROOT.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["underdog"]
    found = {path for pattern in patterns for path in ROOT.glob(pattern)}
    beside = {path for path in ROOT.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert beside and not beside - found


@pytest.mark.parametrize("light", ["artifacts", "recipe", "text", "verify", "cli"])
def test_rooms_without_torch(light):
    """What needs no tensors starts at once: no file of these brings torch along, not even through another."""
    names = sorted(f"underdog.{module(path)}" for path in FILES if room(path) == light)
    code = f"import sys, {', '.join(names)}; sys.exit(' '.join({{'torch', 'transformers'}} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_answers_at_once():
    """0.3 s on a machine at rest; a busy one is allowed what an empty Python takes longer than usual, the quickest of
    some tries each."""

    def seconds(*command: str) -> float:
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "COLUMNS": "80"})
        return time.monotonic() - start

    command = str(Path(sys.executable).with_name("underdog"))
    empty = min(seconds(sys.executable, "-c", "pass") for _ in range(7))
    help_ = min(seconds(command, "--help") for _ in range(7))
    assert help_ <= 0.3 + max(0.0, 10 * (empty - 0.03))
