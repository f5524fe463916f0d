"""Code that tries to get out, to see the answers, to end what judges it, or to pass without solving anything.

Each attack is an answer to a problem that it does not solve: whatever it does, it earns nothing, and what it was after
is still there. Without isolation none of this runs (conftest.py).
"""

import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from underdog.verify.problem import Outcome, Problem
from underdog.verify.registry import verify
from underdog.verify.sandbox import choose

ATTACKS = Path(__file__).with_name("attacks.py")
attacks = SimpleNamespace(**runpy.run_path(str(ATTACKS)))
EXPECTED = attacks.EXPECTED
SECRET = "sesame-4711"
PROGRAM = {"cases": [{"input": "3\n", "output": EXPECTED}], "seconds": 0.5}
FUNCTION = {"function": "f", "cases": [{"arguments": [3], "expected": int(EXPECTED)}], "seconds": 2}
TESTS = {"tests": f"assert f(3) == {EXPECTED}\nassert f(4) == {EXPECTED} + 1", "seconds": 2}


@pytest.fixture(autouse=True)
def judged_here(strong, monkeypatch):
    """The verifier uses this sandbox; afterwards it still works."""
    monkeypatch.setattr(choose, "_open", strong)
    monkeypatch.setenv("TRAINERS_SECRET", SECRET)
    yield
    assert verify(
        Problem("ok", (), "code", {"cases": [{"input": "3", "output": "6"}]}), "print(2 * int(input()))"
    ).reward


def earns(code, data):
    return verify(Problem("attack", (), "code", data), f"```python\n{code}\n```")


@pytest.mark.parametrize("code", attacks.EXHAUSTION.values(), ids=attacks.EXHAUSTION)
def test_resources_are_limited(code):
    assert earns(code, PROGRAM).reward == 0


@pytest.mark.parametrize("data", [PROGRAM, FUNCTION, TESTS], ids=["program", "function", "tests"])
@pytest.mark.parametrize("code", attacks.PRETENCE.values(), ids=attacks.PRETENCE)
def test_nothing_but_the_right_value_passes(code, data):
    verdict = earns(code, data)
    assert verdict.reward == 0 and verdict.outcome is not Outcome.RIGHT


def prints(code):
    """What a program prints when it is run with no tests to fail."""
    report = choose.sandbox().run(choose.Job(code, inputs=[""], seconds=3))
    return "".join(case["output"] for case in report.cases)


SEARCH = """
import ctypes, gc, os, re
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
megabytes = {id(o) >> 20 for o in gc.get_objects()} | {(libc.sbrk(0) >> 20) - back for back in range(16)}
pages = sorted({(m + near << 20) + page for m in megabytes for near in (-1, 0, 1) for page in range(0, 1 << 20, 4096)})
out, in_ = os.pipe()
found = 0
for page in pages:  # what is not mapped, the kernel refuses to write instead of ending the process
    if libc.write(in_, ctypes.c_void_p(page), 4096) == 4096:
        found += len(re.findall(b"73[1]90[8]", os.read(out, 4096)))
print(found > 0)
"""


def test_expected_values_are_nowhere_in_its_memory():
    """Not even those of the problem before, in what it has inherited of the server's."""
    assert earns("def f(x): return 0", TESTS).reward == earns("def f(x): return 0", FUNCTION).reward == 0
    assert prints(SEARCH) == "False\n"
    assert prints("kept = str(731000 + 908)" + SEARCH) == "True\n"  # the search does find what is there


def test_the_trainers_environment_is_not_there():
    assert SECRET not in prints("import os\nprint(dict(os.environ))")
    assert prints("import os\nprint(os.path.exists('/proc/self/environ'), os.path.exists('/proc'))") == "False False\n"


def test_the_trainers_files_are_not_there(tmp_path):
    secret = tmp_path / "answers.jsonl"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    project = Path(choose.__file__)
    for path in (secret, project, Path("/etc/passwd"), Path("/etc/shadow"), Path.cwd(), Path(sys.executable)):
        assert prints(f"import os\nprint(os.path.exists({str(path)!r}))") == "False\n", path


def test_it_writes_only_to_a_folder_that_ends_with_it(tmp_path):
    assert prints("open('/tmp/a', 'w').write('x')\nimport os\nprint(os.listdir('/tmp'))") == "['a']\n"
    assert prints("import os\nprint(os.listdir('/tmp'))") == "[]\n"
    for path in ("/usr/lib/x", "/x", os.__file__, "/dev/x", f"{tmp_path}/x"):
        assert prints(f"open({path!r}, 'a').write('x')\nprint('written')") == ""


def test_there_is_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert prints(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)\nprint('connected')") == ""
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()
    for kind in ("AF_INET, socket.SOCK_DGRAM", "AF_UNIX, socket.SOCK_STREAM", "AF_NETLINK, socket.SOCK_RAW"):
        assert prints(f"import socket\nsocket.socket(socket.{kind})\nprint('made')") == ""


def test_other_processes_are_out_of_reach(strong):
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pids = f"[{victim.pid}, {os.getpid()}, 1, -1]"
    try:
        prints(
            f"import os, signal\nfor pid in {pids}:\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass"
        )
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


@pytest.mark.parametrize(
    "call",
    [
        "libc.ptrace(16, 1, 0, 0)",
        "libc.unshare(0x10000000)",
        "libc.mount(b'none', b'/tmp', b'tmpfs', 0, 0)",
        "libc.chroot(b'/tmp')",
        "(libc.setuid(0) or libc.setgid(0))",
        "libc.syscall(425, 8, 0)",  # io_uring_setup, whose requests no filter sees
        "libc.syscall(321, 0, 0, 0)" if os.uname().machine == "x86_64" else "libc.syscall(280, 0, 0, 0)",  # bpf
        "libc.personality(0x0040000)",
        "libc.execve(b'/bin/sh', 0, 0)",
    ],
)
def test_the_kernel_refuses(call):
    assert prints(f"import ctypes\nlibc = ctypes.CDLL(None)\nprint({call} == -1)") == "True\n"


def test_no_program_is_started():
    assert prints("import os\ntry: os.execv('/bin/sh', ['sh'])\nexcept OSError as e: print(e.errno)") in ("1\n", "2\n")
    assert prints("import subprocess\nsubprocess.run(['/bin/sh', '-c', 'echo x'])\nprint('ran')") == ""


def test_it_has_no_privileges():
    assert prints("import os\nprint(os.getuid() == os.geteuid() != 0)") == "True\n"


def test_rollouts_do_not_meet():
    """Two programs at once see neither each other's processes nor files."""
    spy = "import os, time\nopen('/tmp/me', 'w').close()\ntime.sleep(0.2)\n"
    spy += "print(sorted(os.listdir('/tmp')), os.getpid() < 10)"
    found = []
    threads = [threading.Thread(target=lambda: found.append(prints(spy))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["['me'] True\n"] * 2


def test_a_killed_server_costs_one_verdict(strong):
    """As when the system runs out of memory and takes a server for its victim."""
    with strong._jails.lend() as jail:
        jail._started()[0].start()
        os.kill(jail._servers[0]._process.pid, signal.SIGKILL)
    verdicts = [earns("print(input())", {"cases": [{"input": "3", "output": "3"}]}) for _ in range(2)]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.CRASHED, Outcome.RIGHT]
