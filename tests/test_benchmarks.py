"""Every benchmark imports, and what it prints at the end of a long run is printed here of a tiny result."""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """Benchmarks import each other by name, as they do when they are run."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield
    for name in set(NAMES) & (set(sys.modules) - before):
        del sys.modules[name]


def load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name in NAMES or missing.name.startswith("underdog"):
            raise
        pytest.skip(f"{missing.name} is not installed")


@pytest.mark.parametrize("name", NAMES)
def test_it_imports(name):
    assert Path(load(name).__file__) == FOLDER / f"{name}.py"


def test_memory(capsys):
    load("memory").report({"ours": 500.0, "whole": 4000.0, "by rows": 1000.0})
    whole, by_rows = capsys.readouterr().out.splitlines()
    assert whole.split() == ["whole", "/", "ours", "8.0", "reached:", "the", "bar", "is", "3"]
    assert "2.0" in by_rows and "no bar" in by_rows


def test_value_of_the_score():
    report = load("curate_value").report
    line, verdict = report([6.03, 6.05, 6.03], [5.95, 5.95, 5.97])
    assert "-0.080 [" in line and verdict.startswith("lower")
    assert report([6.0], [5.9])[1] == "one seed tells nothing about chance"


def test_near_duplicates_on_the_same_documents():
    curate = load("curate")
    part = curate.first(["a" * 400_000, "b" * 600_000, "c"], megabytes=1)
    assert [text[0] for text in part] == ["a", "b"]
    assert "2 documents, 1.0 MB: ours 10.0 MB/s, datatrove 0.500; 20 times" in curate.versus(part, 0.1, 2.0)
    assert curate.quality([0, 2, 3], [True, False]) == "recall 100.0%, precision 100.0%"


def test_reinforcement_is_set_beside_the_fastest():
    *_, last = load("reinforce").report({"underdog": [2.0, 4.0, 3.0], "trl": [9.0], "trl bf16": [6.0]})
    assert last == "the fastest of TRL's, trl bf16: 2.00 times underdog's"


def test_sft_is_judged_by_its_worst_turn():
    lines = load("sft").report({"ours": [800.0, 400.0], "default": [100.0], "tuned": [150.0, 200.0]})
    assert [line.split(": ")[1] for line in lines] == ["4.00 (bar", "2.00 (bar"]


@pytest.mark.parametrize(("threads", "clocks"), [(1, ["by the clock", "by CPU time"]), (2, ["by the clock"])])
def test_cpu_time_is_looked_at_with_one_thread(capsys, threads, clocks):
    def work() -> int:
        return sum(range(30_000)) and 10

    load("use").compare({"one": work, "other": work}, argparse.Namespace(threads=threads, rounds=2))
    assert [line.strip().split(":")[0] for line in capsys.readouterr().out.splitlines()] == clocks


def test_intents(capsys):
    intents = load("intents")
    floors = pytest.importorskip("underdog.tasks.floor", exc_type=ImportError)
    texts = [f"{word} number {number}" for number in range(30) for word in ("lost card", "send money")]
    rows = intents.Rows(texts, ["card", "money"] * 30)
    floor = floors.fit_floor(rows.texts, rows.labels)
    intents.judged("TF-IDF", floor, intents.Split(rows, rows, rows), ["what is the weather"] * 4, seconds=90.0)
    said = capsys.readouterr().out
    assert "fitted in 90 CPU seconds" in said and "of many at once" in said and "of 4 out of scope found" in said
    assert intents.took(174.0) == "2.9 CPU minutes"


def test_memory_of_a_process_and_of_what_its_threads_start():
    inner = "import time; held = bytearray(64 << 20); time.sleep(1)"
    start = "threading.Thread(target=subprocess.run, args=([sys.executable, '-c', sys.argv[1]],)).start()"
    outer = f"import subprocess, sys, threading; {start}"
    with subprocess.Popen([sys.executable, "-c", outer, inner]) as process:
        peak = load("processes").watch(process)
    assert 64 < peak[0] < 200
