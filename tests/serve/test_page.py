import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from underdog.generate.session import Served
from underdog.serve.app import PAGE

NODE = shutil.which("node")
CHROMIUM = "/usr/bin/chromium"


def test_the_page_is_served_and_needs_nothing_else(api):
    response = httpx.get(api)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    page = response.text
    assert page == PAGE.read_text(encoding="utf-8")
    assert not re.search(r"https?://|//\w+\.\w+/|@import|<link(?! rel=\"icon\" href=\"data:)|<img|\bsrc=", page)
    assert "innerHTML" not in page  # what a model writes is never markup


@pytest.mark.skipif(not NODE, reason="needs node")
class TestScript:
    """What the page does, against a real server."""

    @pytest.fixture
    def drive(self, serving):
        def drive(served: Served, *steps):
            with serving(served) as (url, _):
                done = subprocess.run(
                    [NODE, Path(__file__).with_name("page_driver.js"), str(PAGE), url],
                    input="\n".join(map(json.dumps, steps)),
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
            assert done.returncode == 0 and not done.stderr, done.stderr
            *states, requests = map(json.loads, done.stdout.splitlines())
            return states, requests

        return drive

    def test_a_conversation(self, scripted, drive):
        served = scripted("<think>hm</think>Größe 🙂 <b>")
        states, requests = drive(
            served, {"ask": "one"}, {"ask": "two", "temperature": "0"}, {"new": True}, {"ask": "3"}
        )
        turn = ["summary.: Reasoning", "div.text: hm", "div.text: Größe 🙂 <b>"]
        assert states[1]["lines"][1:] == ["div.text: one", *turn, "div.text: two", *turn]
        assert states[1]["box"] == "" and states[1]["button"] == "Send"
        assert len(states[2]["lines"]) == 1
        assert [request["temperature"] for request in requests] == [0.7, 0, 0]
        assert requests[1]["messages"] == [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "Größe 🙂 <b>", "reasoning_content": "hm"},
            {"role": "user", "content": "two"},
        ]
        assert requests[2]["messages"] == [{"role": "user", "content": "3"}]

    def test_an_answer_that_is_stopped_stays_as_far_as_it_came(self, scripted, drive):
        served = scripted("on ", pause=0.01)
        ((state, second), requests) = drive(served, {"ask": "one", "stopAfter": 80}, {"ask": "two", "stopAfter": 120})
        said = state["lines"][2].removeprefix("div.text: ")
        assert said.startswith("on on") and state["lines"][3] == "div.notice: Stopped."
        assert state["button"] == "Send" and "wrong" not in str(second)
        assert requests[1]["messages"][1] == {"role": "assistant", "content": said}
        assert served.engine.closed.acquire(timeout=10) and served.engine.closed.acquire(timeout=10)

    def test_no_answer_is_told_and_left_out(self, scripted, drive):
        served = scripted("<think>hm")
        states, requests = drive(served, {"ask": "one"}, {"ask": "two"})
        left_out = "The question is left out of the conversation."
        assert states[0]["lines"][2:] == [
            "summary.: Reasoning",
            "div.text: hm",
            f"div.notice: There is no answer: the model ended its turn inside its reasoning. {left_out}",
        ]
        assert states[0]["box"] == "one"  # to be asked again
        assert requests[1]["messages"] == [{"role": "user", "content": "two"}]

    def test_an_error_is_told_in_the_servers_words(self, scripted, drive):
        states, _ = drive(scripted("fine"), {"ask": "long " * 5000})
        (wrong,) = [line for line in states[0]["lines"] if line.startswith("div.wrong: ")]
        assert re.search(r"has \d+ tokens; the model's context holds 4096", wrong)
        assert len(states[0]["lines"]) == 3


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs chromium")
def test_a_browser_runs_it_under_its_own_rules(api, tmp_path):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={tmp_path}", api], capture_output=True, text=True, timeout=60
    )
    assert '<h1 id="name">tiny</h1>' in done.stdout
