"""Worker processes that may hang, crash or be killed: each such end costs one answer, and a new worker is started.

A worker is a command that answers messages on its standard input with messages on its standard output (frames.py), one
for one. Its environment is clean: nothing of the trainer's but what `ENVIRONMENT` names.
"""

import os
import queue
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from underdog.verify.frames import Closed, Late, receive, send

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "PYTHONHASHSEED": "0"}
START_SECONDS = 60.0  # the first answer of a worker may wait for its imports this long
SOURCE = str(Path(__file__).parents[2])

W = TypeVar("W")


class TimedOut(Exception):
    """The worker was killed because its time was over."""


class Crashed(Exception):
    """The worker ended, or sent what is no answer."""


class Worker:
    """One process, started when it is first asked and again after each bad end."""

    def __init__(self, command: Sequence[str], pass_fds: Sequence[int] = ()):
        self._command, self._pass_fds = list(command), tuple(pass_fds)
        self._process: subprocess.Popen | None = None
        self.greeting: Any = None  # what it said of itself when it started

    def ask(self, message: Any, seconds: float) -> Any:
        """The answer to `message`. Raises TimedOut after `seconds`, Crashed when there will be none."""
        self.tell(message, seconds)
        return self.hear(seconds)

    def tell(self, message: Any, seconds: float) -> None:
        """Sends `message`; `hear` has its answer."""
        self.start()
        with self._ended_where_it_fails() as process:
            send(process.stdin.fileno(), message, time.monotonic() + seconds)

    def hear(self, seconds: float) -> Any:
        """The answer to what was told."""
        with self._ended_where_it_fails() as process:
            return receive(process.stdout.fileno(), time.monotonic() + seconds)

    @contextmanager
    def _ended_where_it_fails(self) -> Iterator[subprocess.Popen]:
        if self._process is None:
            raise Crashed("it is not there")
        try:
            yield self._process
        except Late:
            self.kill()
            raise TimedOut from None
        except Closed as why:
            ending = self.kill(patience=0.5)
            if ending == -signal.SIGPROF:  # serve(timed=True)
                raise TimedOut from None
            raise Crashed(f"{why} (exit status {ending})") from None
        except BaseException:  # Ctrl-C: its answer must not be taken for the next one's
            self.kill()
            raise

    def start(self) -> None:
        """Starts the process unless it is there, and reads its greeting. Raises TimedOut or Crashed."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=self._pass_fds,
            start_new_session=True,  # Ctrl-C is the trainer's to handle
            bufsize=0,
        )
        for pipe in (self._process.stdin, self._process.stdout):
            os.set_blocking(pipe.fileno(), False)
        self.greeting = self.hear(START_SECONDS)

    def kill(self, patience: float = 0.0) -> int | None:
        """Ends the process after `patience` seconds; its exit status."""
        process, self._process = self._process, None
        if process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        with suppress(OSError):
            process.kill()
        process.stdin.close()
        process.stdout.close()
        return process.wait()


class Pool(Generic[W]):
    """Lends each worker to one thread at a time."""

    def __init__(self, make: Callable[[], W], count: int):
        self._idle: queue.LifoQueue[W] = queue.LifoQueue()  # the one used last is warm
        self._all = [make() for _ in range(count)]
        for worker in self._all:
            self._idle.put(worker)

    def each(self, act: Callable[[W], Any]) -> None:
        """Does something to every worker once all have come back."""
        borrowed = [self._idle.get() for _ in self._all]
        for worker in borrowed:
            act(worker)
            self._idle.put(worker)

    @contextmanager
    def lend(self) -> Iterator[W]:
        worker = self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put(worker)


def python(module: str, *flags: str) -> list[str]:
    """The command of a worker that is a module of this project with a `main()`."""
    start = f"import sys; sys.path.insert(0, {SOURCE!r}); from {module} import main; sys.path.pop(0); main()"
    return [sys.executable, *flags, "-P", "-c", start]


def serve(answer: Callable[[Any], Any], greeting: Any = None, timed: bool = False) -> None:
    """A worker's main loop; ends when the other side has gone.

    timed: a message says in `seconds` how much CPU time its answer may take; then the kernel ends the process, in the
    middle of whatever it does, and the other side learns that the time was over.
    """
    out = os.dup(1)
    os.dup2(2, 1)  # what the code prints is no message
    send(out, greeting)
    with suppress(Closed):
        while True:
            message = receive(0)
            if timed:
                signal.setitimer(signal.ITIMER_PROF, message["seconds"])
            result = answer(message)
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(out, result)


def limit_memory(most: int) -> None:
    """Allocations beyond `most` bytes of address space fail from now on."""
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
