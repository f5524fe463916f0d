"""The fork server: a small, clean process behind the walls that forks a jail for every job. Standard library only.

Started as `python -c … MODE LINK` (workers.python). MODE is "strong" (namespaces), or "plain" (without, where
something else already isolates the server, or nothing does). LINK is the descriptor of a socket to the twin server:
jobs of the kind "serve" hand one end of a new connection over it to the twin's job of the kind "examine".
"""

# What programs import most often is imported once, before any fork.
import bisect, collections, copy, datetime, decimal, fractions, functools, heapq, itertools  # noqa: E401, F401, I001
import math, operator, random, re, statistics, string, typing  # noqa: E401, F401
import gc
import os
import select
import signal
import shutil
import socket
import sys
import tempfile
import time
from contextlib import suppress
from typing import Any

from underdog.verify.frames import Closed, Late, receive, send
from underdog.verify.sandbox.inmate import OutOfTime, run
from underdog.verify.sandbox.isolate import SCRATCH, Walls
from underdog.verify.workers import serve

_PATIENCE = 10.0  # seconds for the twin's end of a connection


def main() -> None:
    mode, link = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    walls = Walls.build(namespaces=mode == "strong")
    gc.freeze()  # what is there now is never looked at again, so that forks share its pages
    serve(lambda job: answer(job, walls, link), {"layers": walls.layers})


def answer(job: dict[str, Any], walls: Walls, link: socket.socket) -> dict[str, Any]:
    """{"ending": "finished" | "timed out" | "crashed", "cases": […]}"""
    connection = _connect(job["kind"], link)
    theirs = connection.fileno() if connection else None
    ours, report = os.pipe()

    def inmate() -> None:
        random.seed(0)  # the same verdict whenever the same answer is judged
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            cases = run(job, theirs, strict="seccomp" in walls.layers)
        except OutOfTime:
            send(report, {"ending": "timed out", "cases": []})
        else:
            send(report, {"ending": "finished", "cases": cases})

    keep = (report, *((theirs,) if connection else ()))
    deadline = time.monotonic() + job["patience"]
    scratch = SCRATCH if "namespaces" in walls.layers else tempfile.mkdtemp()
    jail = walls.jail(inmate, keep, job["memory"], scratch)
    os.close(report)
    if connection:
        connection.close()
    try:
        return receive(ours, deadline, limit=16 * job["output"] * max(1, len(job.get("inputs", ()))))
    except Late:
        return {"ending": "timed out", "cases": []}
    except Closed:
        return {"ending": "crashed", "cases": []}
    finally:
        os.close(ours)
        _end(jail)
        if scratch != SCRATCH:
            shutil.rmtree(scratch, ignore_errors=True)


def _connect(kind: str, link: socket.socket) -> socket.socket | None:
    if kind == "serve":
        mine, other = socket.socketpair()
        socket.send_fds(link, [b"."], [other.fileno()])
        other.close()
        return mine
    if kind == "examine":
        if not select.select([link], [], [], _PATIENCE)[0]:
            raise Closed("the twin is silent")
        _, (fd,), _, _ = socket.recv_fds(link, 1, 1)
        return socket.socket(fileno=fd)
    return None


def _end(jail: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(jail, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(jail, signal.SIGKILL)
    os.waitpid(jail, 0)
