import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import pytest

from underdog.errors import UserError
from underdog.generate.options import OptionError
from underdog.tasks.crew import Ready, work_through
from underdog.tasks.files import read_table
from underdog.tasks.over import failures, run_over

ROWS = [{"text": str(i)} for i in range(6)]


@dataclass
class Lengths:
    """A job that stops after so many rows."""

    stop: int = 1000
    seen: list = field(default_factory=list)
    parallel: int = 1
    name = "lengths"
    columns = ("text",)

    def open(self):
        return Ready(self.do, self.parallel)

    def do(self, row):
        self.seen.append(row["text"])
        if len(self.seen) == self.stop:
            raise KeyboardInterrupt
        return {"length": len(row["text"])}


def test_a_stopped_job_goes_on_where_it_was(tmp_path):
    out, job = tmp_path / "out.jsonl", Lengths(stop=4)
    with pytest.raises(KeyboardInterrupt):
        run_over(ROWS, job, out, {"a": 1})
    part = tmp_path / "out.jsonl.part"
    assert not out.exists()
    part.write_text(part.read_text() + '[3, {"leng')  # it was killed in the middle of a line
    run_over(ROWS, job, out, {"a": 1})
    assert job.seen == ["0", "1", "2", "3", "3", "4", "5"]
    assert read_table(out) == [{**row, "length": 1} for row in ROWS]
    assert not part.exists()


@pytest.mark.parametrize("refused", [None, 1])
def test_many_rows_are_done_in_one_pass_and_alone_where_one_is_refused(refused):
    passes = []

    class Many(Lengths):
        def open(self):
            return Ready(lambda row: self.all([row])[0], do_together=self.all)

        def all(self, rows):
            passes.append(len(rows))
            if any(row["text"] == str(refused) for row in rows):
                raise OptionError("text", "too long")
            return [{"length": len(row["text"])} for row in rows]

    found = dict(work_through(Many(), ROWS * 20, range(120)))
    assert [index for index, row in found.items() if "error" in row] == ([] if refused is None else [*range(1, 120, 6)])
    assert passes == ([64, 56] if refused is None else [64, *[1] * 64, 56, *[1] * 56])


def test_other_settings_begin_anew(tmp_path):
    job = Lengths(stop=3)
    with pytest.raises(KeyboardInterrupt):
        run_over(ROWS, job, tmp_path / "out.csv", {"a": 1})
    job.seen.clear()
    with pytest.raises(KeyboardInterrupt):
        run_over(ROWS, job, tmp_path / "out.csv", {"a": 2})
    assert job.seen == ["0", "1", "2"]


SLOW = """
import sys, time
from pathlib import Path
from underdog.tasks.crew import Ready
from underdog.tasks.over import run_over

class Slow:
    name, columns = "slow", ("text",)
    def open(self):
        return Ready(lambda row: time.sleep(0.01) or {"done": row["text"]})

run_over([{"text": str(i)} for i in range(int(sys.argv[2]))], Slow(), Path(sys.argv[1]), {})
"""


def test_a_killed_job_goes_on(tmp_path):
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", SLOW, str(out), "200"]
    running = subprocess.Popen(command, env=os.environ)
    part = tmp_path / "out.jsonl.part"
    while not part.exists() or part.read_text().count("\n") < 20:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = part.read_text().count("\n") - 1
    started = time.monotonic()
    subprocess.run(command, check=True)
    assert [row["done"] for row in read_table(out)] == [str(i) for i in range(200)]
    assert 20 <= done + 1 < 200 and not part.exists() and time.monotonic() - started < 60


@pytest.mark.parametrize("parallel", [1, 4])
def test_workers_give_what_one_gives(parallel, tmp_path):
    """Processes where the model does one row at a time, threads where it does several."""
    job = Lengths(parallel=parallel)
    run_over(ROWS, job, tmp_path / "out.jsonl", {}, workers=2)
    assert read_table(tmp_path / "out.jsonl") == [{**row, "length": 1} for row in ROWS]
    assert sorted(job.seen) == ([row["text"] for row in ROWS] if parallel > 1 else [])


class Refuses(Lengths):
    def do(self, row):
        if row["text"] == "2":
            raise OptionError("messages", "The conversation has 9 tokens.")
        return {"length": [1], "text": {"a": 1}}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_refused_row_says_why_and_no_column_is_written_over(kind, tmp_path):
    out = tmp_path / f"out.{kind}"
    assert failures(run_over(ROWS, Refuses(), out, {})) == 1
    rows = read_table(out)
    assert [row["text"] for row in rows] == [row["text"] for row in ROWS]
    assert rows[2]["error"].startswith("The conversation") and not rows[3].get("error")
    nested = [row.get("lengths_text") for row in rows][3]
    assert (nested if kind == "jsonl" else json.loads(nested)) == {"a": 1}


class Broken(Lengths):
    def open(self):
        raise UserError("There is no such model.")


def test_a_job_that_cannot_be_opened_says_so_before_it_starts_anything(tmp_path):
    with pytest.raises(UserError, match="no such model"):
        list(work_through(Broken(), ROWS, range(6), workers=3))
    assert list(work_through(Broken(), ROWS, [])) == []
