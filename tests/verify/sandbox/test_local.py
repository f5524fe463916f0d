import json
import signal
import subprocess
import sys
import threading
import time
from shutil import which

import pytest

from underdog.errors import UserError
from underdog.verify.sandbox import choose, local
from underdog.verify.sandbox.job import Job
from underdog.verify.sandbox.local import Kind, Local, kinds, open_local
from underdog.verify.sandbox.remote import Remote, make_server


def test_programs_see_their_input_each_afresh(strong):
    code = "import os\nn = int(input())\nprint(2 * n, os.listdir('.'))\nopen('left', 'w').close()"
    report = strong.run(Job(code, inputs=["3\n", "x", "4"]))
    assert report.ending == "finished"
    assert next(case["output"] for case in report.cases) == "6 []\n"
    assert report.cases[1]["error"] == "ValueError: invalid literal for int() with base 10: 'x' (line 2)"
    assert report.cases[2]["output"].startswith("8")


def test_leaving_is_an_ordinary_end_of_a_program(strong):
    (case,) = strong.run(Job("print(1)\nraise SystemExit(3)", inputs=[""])).cases
    assert case == {"output": "1\n", "error": None}


def test_functions_answer_by_value(strong):
    code = "class Solution:\n    def f(self, x): return (x, {1}, {'a': [None]}, 2.5)"
    report = strong.run(Job(code, calls=[("f", [1]), ("g", [])]))
    assert report.cases[0]["value"] == {
        "tuple": [1, {"set": [1]}, {"dict": [["a", [None]]]}, {"float": "0x1.4000000000000p+1"}]
    }
    assert report.cases[1]["error"].startswith("AttributeError")


def test_what_a_crash_leaves_counts(strong):
    report = strong.run(
        Job("import os\ndef f(x): return x if x < 2 else os.abort()", calls=[("f", [i]) for i in range(4)])
    )
    assert [case.get("value") for case in report.cases] == [0, 1, None, None]
    assert report.cases[2]["error"] == "was ended by SIGABRT"


def test_assertions_run_elsewhere_and_all_of_them(strong):
    code = "class P:\n    def __init__(self, x): self.x = x\ndef f(p, k=0): return p.x + k\ndef sum(a, b): return a - b"
    tests = """
import math
for i in range(3):
    assert f(P(i)) == i
assert f(P(1), k=2) == 4, "wrong on purpose"
assert math.isclose(f(P(0.1)), 0.1) and len([1]) == 1
assert sum(3, 2) == 1
try:
    f(None)
    assert False
except AttributeError:
    assert True
"""
    (found,) = strong.run(Job(code, tests=tests, names=["sum"])).cases
    assert found == {"passed": 6, "total": 7, "why": "f(P(1), k=2) == 4: AssertionError('wrong on purpose')"}


def test_a_check_function_gets_the_code_as_its_candidate(strong):
    tests = "def check(candidate):\n    assert candidate(helper(2)) == 5\n    assert candidate(1) == 9"
    job = Job("def f(x): return x + 1", tests=tests, prelude="def helper(x): return 2 * x", entry="f")
    assert strong.run(job).cases[0]["passed"] == 1


def test_time_is_cpu_time_and_waiting_has_an_end_too(strong):
    begun = time.monotonic()
    assert strong.run(Job("import time\ntime.sleep(99)", inputs=[""], seconds=0.2)).ending == "timed out"
    assert time.monotonic() - begun < 5
    assert strong.run(Job("while True: pass", inputs=["", ""], seconds=0.2)).ending == "timed out"


def test_the_strongest_way_comes_first_and_weak_ones_only_when_asked():
    assert next(kind.name for kind in kinds()) == "namespaces"
    assert "limits" not in [kind.name for kind in kinds()]
    assert kinds(weak=True)[-1].name == "limits"


def test_without_isolation_it_refuses(monkeypatch):
    class Nothing(Kind):
        def layers(self):
            return super().layers() if self.name == "limits" else None

    monkeypatch.setattr(local, "Kind", Nothing)
    with pytest.raises(UserError, match="offers no isolation") as error:
        open_local(weak=False, count=1)
    assert 'sandbox = "weak"' in error.value.hint
    weak = open_local(weak=True, count=1)
    try:
        assert "namespaces" not in weak.layers
        assert weak.run(Job("print(int(input()) + 1)", inputs=["4"])).cases == [{"output": "5\n", "error": None}]
        assert weak.run(Job("while True: pass", inputs=[""], seconds=0.2)).ending == "timed out"
    finally:
        weak.close()


@pytest.mark.skipif(not which("bwrap"), reason="bubblewrap is not installed")
def test_bubblewrap_where_namespaces_are_not_ours_to_make():
    (kind,) = [kind for kind in kinds() if kind.name == "bubblewrap"]
    layers = kind.layers()
    if layers is None:
        pytest.skip("bubblewrap does not run here")
    wrapped = Local(kind, layers, 1)
    try:
        code = "import os\nprint(os.path.exists('/etc/passwd'), os.path.exists('/proc/1'), input())"
        assert wrapped.run(Job(code, inputs=["x"])).cases[0]["output"] == "False False x\n"
        assert wrapped.run(Job("import socket\nsocket.socket()", inputs=[""])).cases[0]["error"].startswith("Perm")
    finally:
        wrapped.close()


def test_another_machine_runs_jobs_the_same(strong):
    with make_server(strong, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        remote = Remote(f"http://127.0.0.1:{server.server_port}/")
        assert "namespaces" in remote.layers
        for job in (Job("print(input())", inputs=["é"]), Job("def f(x): return [x]", calls=[("f", [{"set": [1]}])])):
            assert remote.run(job) == strong.run(job)
        server.shutdown()
    assert remote.run(Job("print(1)", inputs=[""])).ending == "crashed"
    with pytest.raises(UserError, match="No sandbox answers"):
        Remote("http://127.0.0.1:1")


def test_a_choice_that_is_none():
    with pytest.raises(UserError, match='sandbox = "docker" is no sandbox'):
        choose.choose_sandbox("docker")


def test_the_server_is_gone_when_the_trainer_is(strong):
    with strong._jails.lend() as jail:
        server = jail._started()[0]
        server.start()
        process = server._process
        process.stdin.close()
        assert process.wait(5) == 0
        jail.kill()


def test_values_survive_json(strong):
    job = Job("def f(x): return x", calls=[("f", [{"str": [0xD800]}]), ("f", [{"int": hex(1 << 99)}])])
    assert json.loads(json.dumps(strong.run(job).cases))[1] == {"value": {"int": hex(1 << 99)}}


def test_the_system_call_filter_stands_alone():
    """In a process of its own, without the rest."""
    code = """
import ctypes, os, socket, threading
from underdog.verify.sandbox import seccomp
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
seccomp.forbid(processes=False)
os.waitpid(os.fork() or os._exit(0), 0)
seccomp.forbid(processes=True)
for act in (os.fork, socket.socket):
    try:
        act()
        print("allowed", act)
    except PermissionError:
        pass
thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "thread\n", done.stderr


@pytest.mark.usefixtures("strong")
def test_the_command_line_serves_a_sandbox():
    command = [sys.executable, "-m", "underdog.cli", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url, _, layers = process.stdout.readline().partition("  ")
            assert "namespaces" in layers
            assert Remote(url).run(Job("print(6 * 7)", inputs=[""])).cases[0]["output"] == "42\n"
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)
