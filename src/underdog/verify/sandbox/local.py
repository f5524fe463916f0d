"""Sandboxes on this machine: pairs of fork servers, and the strongest isolation that they find."""

import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from underdog.errors import UserError
from underdog.verify.sandbox.isolate import NOBODY, SCRATCH, readable
from underdog.verify.sandbox.job import Job, Report
from underdog.verify.workers import SOURCE, Crashed, Pool, TimedOut, Worker, python

GRACE = 10.0  # seconds that a server may need beyond its job's
_SERVER = python("underdog.verify.sandbox.server", "-s", "-S")
_NO_ISOLATION = """This machine offers no isolation, and code that a model wrote is not run without."""
_MEND = (
    "Allow user namespaces, install bubblewrap, or name a remote sandbox by its URL; "
    'sandbox = "weak" runs such code with limits only. underdog doctor says what is there.'
)


class Local:
    """Runs jobs side by side on this machine. `layers`: what keeps them in."""

    def __init__(self, kind: "Kind", layers: Sequence[str], count: int):
        self.layers = list(layers)
        self._jails = Pool(lambda: _Jail(kind), count)

    def run(self, job: Job) -> Report:
        with self._jails.lend() as jail:
            return jail.run(job)

    def close(self) -> None:
        """Ends the servers; the next job starts new ones."""
        self._jails.each(_Jail.kill)


class Kind:
    """A way to start a fork server: its command and the mode that it is told."""

    def __init__(self, name: str, prefix: Sequence[str], mode: str, needs: Sequence[str]):
        self.name, self.needs = name, set(needs)
        self._prefix, self._mode = list(prefix), mode

    def server(self, link: socket.socket) -> Worker:
        return Worker([*self._prefix, *_SERVER, self._mode, str(link.fileno())], [link.fileno()])

    def layers(self) -> list[str] | None:
        """What keeps code in this way, or None where it is not enough for this kind, or a program does not run."""
        jail = _Jail(self)
        try:
            if jail.run(Job("print(1)", inputs=[""])) != Report("finished", [{"output": "1\n", "error": None}]):
                return None
            layers = [*([self.name] if self._prefix else []), *jail.greeting["layers"]]
        finally:
            jail.kill()
        return layers if self.needs <= set(layers) else None


def kinds(weak: bool = False) -> list[Kind]:
    """The ways to try, best first."""
    found = [Kind("namespaces", [], "strong", ["namespaces", "seccomp"])]
    if wrap := shutil.which("bwrap"):
        found.append(Kind("bubblewrap", _bubblewrap(wrap), "plain", ["bubblewrap", "seccomp"]))
    return [*found, Kind("limits", [], "plain", [])] if weak else found


def open_local(weak: bool, count: int) -> Local:
    """The strongest isolation there is. Raises UserError where there is none, unless `weak`."""
    if sys.platform == "linux":
        for kind in kinds(weak):
            if (layers := kind.layers()) is not None:
                return Local(kind, layers or ["limits"], count)
    raise UserError(_NO_ISOLATION, hint=_MEND)


class _Jail:
    """A fork server for the model's code, and its twin for tests, which are never in the first one's memory."""

    def __init__(self, kind: Kind):
        self._kind = kind
        self._servers: tuple[Worker, Worker] | None = None
        self._links: tuple[socket.socket, ...] = ()

    def run(self, job: Job) -> Report:
        patience = job.patience + GRACE
        try:
            code, tests = self._started()
            names = ("seconds", "patience", "memory", "output")
            limits = {name: getattr(job, name) for name in names}
            if job.tests:
                code.tell({"kind": "serve", "code": job.code, **limits}, patience)
                texts = {"prelude": job.prelude, "tests": job.tests, "entry": job.entry, "names": list(job.names)}
                examined = tests.ask({"kind": "examine", **texts, **limits}, patience)
                served = code.hear(patience)
                return _joined(served["ending"], Report(**examined))
            what = {"kind": "calls", "calls": job.calls} if job.calls else {"kind": "program", "inputs": job.inputs}
            return Report(**code.ask({**what, "code": job.code, **limits}, patience))
        except TimedOut:
            self.kill()
            return Report("timed out", [])
        except (Crashed, OSError, TypeError, KeyError):
            self.kill()
            return Report("crashed", [])
        except BaseException:
            self.kill()
            raise

    @property
    def greeting(self) -> dict:
        """What the started server said of itself."""
        return self._started()[0].greeting

    def kill(self) -> None:
        for server in self._servers or ():
            server.kill()
        for link in self._links:
            link.close()
        self._servers, self._links = None, ()

    def _started(self) -> tuple[Worker, Worker]:
        if self._servers is None:
            self._links = socket.socketpair()
            first, second = self._links
            self._servers = self._kind.server(first), self._kind.server(second)
        return self._servers


def _joined(served: str, examined: Report) -> Report:
    """The code that timed out is why its tests failed."""
    return Report("timed out", []) if served == "timed out" else examined


def _bubblewrap(command: str) -> list[str]:
    """bwrap with nothing but Python and this project's source to read."""
    python_home = str(Path(sys.executable).resolve().parents[1])
    shown = [*readable(), python_home, os.path.dirname(os.path.abspath(sys.executable)), SOURCE]
    arguments = [command, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    arguments += ["--uid", str(NOBODY), "--gid", str(NOBODY)]
    for path in dict.fromkeys(shown):
        arguments += ["--ro-bind", path, path]
    for link in ("/lib", "/lib64"):
        if os.path.islink(link):
            arguments += ["--symlink", os.readlink(link), link]
    return [*arguments, "--dev", "/dev", "--tmpfs", SCRATCH, "--chdir", "/", "--"]
