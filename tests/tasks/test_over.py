import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from underdog.errors import UserError
from underdog.generate.options import OptionError
from underdog.tasks.crew import Ready, work_through
from underdog.tasks.files import read_table
from underdog.tasks.over import begun, failures, run_over

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


DIES = """
import os, signal, sys
from pathlib import Path
from underdog.tasks.crew import Ready
from underdog.tasks.over import run_over

left = int(sys.argv[2])

class Dies:
    name, columns = "dies", ("text",)
    def open(self):
        return Ready(self.do)

    def do(self, row):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"done": row["text"]}

run_over([{"text": str(i)} for i in range(200)], Dies(), Path(sys.argv[1]), {})
"""


def test_a_killed_job_goes_on(tmp_path):
    out, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"

    def run(rows):
        return subprocess.run([sys.executable, "-c", DIES, out, str(rows)], check=False).returncode

    assert run(50) == -signal.SIGKILL
    assert part.read_text().count("\n") == 1 + 49 and not out.exists()
    assert run(152) == 0  # the 151 rows that were left
    assert [row["done"] for row in read_table(out)] == [str(i) for i in range(200)] and not part.exists()


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


def test_a_job_over_its_own_results_writes_over_none_of_them(tmp_path):
    rows = [{"length": "mine", "lengths_length": "yours"}]

    class Job(Lengths):
        def do(self, row):
            return {"length": 1, "lengths_length_2": "\ud83d"}

    run_over(rows, Job(), tmp_path / "out.jsonl", {})
    (row,) = read_table(tmp_path / "out.jsonl")
    assert row == {**rows[0], "lengths_length_2": 1, "lengths_lengths_length_2": "?"}


def test_what_goes_on_counts_from_the_day_when_it_was_begun(tmp_path):
    out, day = tmp_path / "out.jsonl", datetime(2026, 11, 22)

    def settings(now, tone="a"):
        return {"now": now, "tone": tone}

    assert begun(out, ROWS, settings) is None
    with pytest.raises(KeyboardInterrupt):
        run_over(ROWS, Lengths(stop=4), out, settings(day))
    assert begun(out, ROWS, settings) == day
    assert begun(out, ROWS[1:], settings) is None and begun(out, ROWS, lambda now: settings(now, "b")) is None


def test_results_are_not_for_a_folder(tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        run_over(ROWS, Lengths(), tmp_path / "out.csv", {})


class Broken(Lengths):
    def open(self):
        raise UserError("There is no such model.")


def test_a_job_that_cannot_be_opened_says_so_before_it_starts_anything(tmp_path):
    with pytest.raises(UserError, match="no such model"):
        list(work_through(Broken(), ROWS, range(6), workers=3))
    assert list(work_through(Broken(), ROWS, [])) == []
