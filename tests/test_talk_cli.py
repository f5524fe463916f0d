"""The verbs that talk to a model, where that is quicker seen without a process of its own."""

import contextlib
import signal
import subprocess
import sys
import threading

import httpx
import pytest

pytest.importorskip("fastapi")

from underdog import talk_cli
from underdog.errors import UserError
from underdog.generate import open as opening
from underdog.serve import server


@pytest.fixture
def started(monkeypatch):
    """The limits of the servers that were started."""
    seen = []
    monkeypatch.setattr(opening, "open_model", lambda *given: None)
    monkeypatch.setattr(server, "serve", lambda served, host, port, ready, limits: seen.append(limits))
    return seen


def test_the_key_in_the_environment_is_one_key(started, monkeypatch):
    monkeypatch.setenv(talk_cli.SERVER_KEY, "correct horse battery")
    talk_cli.serve("model")
    talk_cli.serve("model", api_key=["a", "b"])
    assert [limits.keys for limits in started] == [("correct horse battery",), ("a", "b")]


@pytest.mark.parametrize(("said", "variable"), [([""], None), (["good", " "], None), ([], "")])
def test_an_empty_key_is_refused(started, monkeypatch, said, variable):
    if variable is not None:
        monkeypatch.setenv(talk_cli.SERVER_KEY, variable)
    with pytest.raises(UserError, match="API key is empty"):
        talk_cli.serve("model", api_key=said)
    assert not started


SLOW = """
import time
from underdog import talk_cli
from underdog.generate import open as opening
from underdog.generate.interface import Capabilities

class Slow:
    name, context, capabilities = "slow", 64, Capabilities()

    def score(self, messages, answers):
        print("scoring", flush=True)
        time.sleep(300)

opening.open_model = lambda *given: Slow()
talk_cli.serve("slow", port=0, grace=300)
"""


def ask(url, timeout):
    """The status, or None where none came in time."""
    body = {"model": "slow", "input": "x", "labels": {"a": "", "b": ""}}
    with contextlib.suppress(httpx.HTTPError):
        return httpx.post(f"{url}/v1/classify", json=body, timeout=timeout).status_code


def test_a_second_ctrl_c_waits_for_no_call_of_the_model():
    process = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().split()[-1]
        asking = threading.Thread(target=ask, args=(url, 60))
        asking.start()
        while process.stdout.readline() != "scoring\n":
            pass
        process.send_signal(signal.SIGINT)
        while ask(url, 1) != 503:  # it is shutting down
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0 and process.stderr.read() == ""
        asking.join()
    finally:
        process.kill()
        process.communicate()
