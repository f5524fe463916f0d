"""The map of the code holds: imports go downward only, in no circle, and no file has grown beyond one job."""

import ast
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import underdog

ROOT = Path(underdog.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FLOORS = [
    ["errors", "seeds", "__init__"],
    ["artifacts"],
    ["recipe"],
    ["tokens"],
    ["text", "verify"],
    ["model"],
    ["generate"],
    ["train"],
    ["stages"],
    ["report", "serve"],
    ["cli"],
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
LONGEST = 400  # lines


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The project's modules that a file imports, wherever in the file: "train.batch"."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("underdog."):
            names.add(node.module.removeprefix("underdog."))
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.removeprefix("underdog.") for alias in node.names if alias.name.startswith("underdog.")
            }
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downward(path):
    here = room(path)
    for name in imported(path):
        there = name.split(".")[0]
        assert there == here or FLOOR[there] < FLOOR[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda path: path.stem)
def test_a_stage_imports_no_stage(path):
    if path.stem not in ("pipeline", "ablate"):  # these two are about stages
        assert not {name for name in imported(path) if name.startswith("stages.")}


def test_no_circles():
    graph = {".".join(path.relative_to(ROOT).with_suffix("").parts): imported(path) for path in FILES}
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


@pytest.mark.parametrize("module", ["artifacts.store", "recipe.load", "text.sources", "verify.gym", "cli"])
def test_rooms_without_torch(module):
    code = f"import sys, underdog.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_help_answers_at_once():
    """0.3 s on a machine at rest; a busy one is allowed what an empty Python takes longer than usual."""

    def seconds(*command: str) -> float:
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "COLUMNS": "80"})
        return time.monotonic() - start

    command = str(Path(sys.executable).with_name("underdog"))
    empty = statistics.median(seconds(sys.executable, "-c", "pass") for _ in range(5))
    help_ = statistics.median(seconds(command, "--help") for _ in range(5))
    assert help_ <= 0.3 + max(0.0, 10 * (empty - 0.03))
