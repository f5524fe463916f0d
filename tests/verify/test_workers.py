import os
import sys
import time

import pytest

from underdog.verify.frames import Closed, Late, receive, send
from underdog.verify.workers import SOURCE, Crashed, Pool, TimedOut, Worker

CODE = f"""
import sys, time, os
sys.path.insert(0, {SOURCE!r})
from underdog.verify.workers import serve
def answer(message):
    if message["do"] == "hang": time.sleep(99)
    if message["do"] == "spin":
        while True: pass
    if message["do"] == "die": os._exit(3)
    if message["do"] == "babble": print("not a message", flush=True)
    if message["do"] == "environment": return dict(os.environ)
    return {{"pid": os.getpid()}}
serve(answer, timed=True)
"""


@pytest.fixture
def worker():
    worker = Worker([sys.executable, "-c", CODE])
    yield worker
    worker.kill()


def ask(worker, do, seconds=20.0):
    return worker.ask({"do": do, "seconds": 0.2}, seconds)


def test_a_worker_answers_one_for_one(worker):
    first = ask(worker, "work")
    assert first == ask(worker, "work") == ask(worker, "babble")
    assert first["pid"] != os.getpid()


@pytest.mark.parametrize(
    ("end", "error", "seconds"), [("hang", TimedOut, 0.3), ("spin", TimedOut, 20), ("die", Crashed, 20)]
)
def test_a_bad_end_costs_one_answer(worker, end, error, seconds):
    before = ask(worker, "work")
    begun = time.monotonic()
    with pytest.raises(error):
        ask(worker, end, seconds)
    assert time.monotonic() - begun < 10
    assert ask(worker, "work") != before  # another process


def test_nothing_of_the_trainers_environment_is_passed_on(worker, monkeypatch):
    monkeypatch.setenv("SECRET", "sesame")
    assert "SECRET" not in ask(worker, "environment")


def test_a_command_that_is_none_has_crashed():
    with pytest.raises(Crashed, match="gone"):
        Worker([sys.executable, "-c", "raise SystemExit(5)"]).ask({}, 5)


def test_a_pool_lends_each_worker_to_one_at_a_time():
    made = iter("ab")
    pool = Pool(lambda: next(made), 2)
    with pool.lend() as one, pool.lend() as other:
        assert {one, other} == {"a", "b"}
    with pool.lend() as again:
        assert again in "ab"


def test_frames_have_a_deadline_a_limit_and_an_end():
    out, in_ = os.pipe()
    send(in_, {"a": ["é" * 100]})
    assert receive(out) == {"a": ["é" * 100]}
    with pytest.raises(Late):
        receive(out, time.monotonic() + 0.05)
    send(in_, "x" * 100)
    with pytest.raises(Closed, match="102 bytes, more than 50"):
        receive(out, limit=50)
    os.write(in_, (2).to_bytes(4, "big") + b"{{")
    os.close(in_)
    while True:  # the rest of the long one, the broken one, the end: each is only ever Closed
        with pytest.raises(Closed):
            receive(out)
        if not os.read(out, 1):
            break
    os.close(out)
