"""What runs inside a jail: the model's program on inputs, its functions on arguments, or the tests of a data set.

The first process of a jail runs no foreign code: it forks one process for each run of it, reads what that writes, and
reports. Standard library only.
"""

import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import ceil
from types import ModuleType
from typing import Any

from underdog.verify.frames import Closed, receive, send
from underdog.verify.sandbox import seccomp
from underdog.verify.sandbox.examiner import examine
from underdog.verify.sandbox.values import Unknown, decode, encode

_SHOWN = 200  # characters of an error that a report repeats
LINK_SECONDS = 60.0  # longer than any job

Note = Callable[[Any], None]
Case = dict[str, Any]


class OutOfTime(Exception):
    """The runs of this job have used up their CPU time."""


def run(job: dict[str, Any], link: int | None, strict: bool) -> list[Case]:
    """The cases of a job in order. `strict`: the system call filter is there and takes processes away, too.

    Raises OutOfTime.

    kind "program": the code once for every text of `inputs`; {"output", "error"} each.
    kind "calls": `calls` of [name, arguments], in one process; {"value"} or {"error"} each.
    kind "serve": calls that come over `link`, until it closes; nothing is reported.
    kind "examine": `tests` whose calls go over `link`; one report (examiner.py).
    """
    apart = partial(_apart, limit=job["output"], seconds=job["seconds"], strict=strict)
    if job["kind"] == "program":
        return [_program(job["code"], text, apart) for text in job["inputs"]]

    def work(note: Note) -> None:
        if job["kind"] == "examine":
            note(examine(job["prelude"], job["tests"], job["entry"], job["names"], _asker(link)))
            return
        functions = Functions(job["code"])
        if job["kind"] == "serve":
            functions.serve(link)
        else:
            for name, arguments in job["calls"]:
                note(functions.call({"name": name, "arguments": arguments}))

    _, notes, ending = apart(work)
    if job["kind"] == "calls":
        missing = len(job["calls"]) - len(notes)
        notes += [{"error": ending or "it ended before this call"}] * missing
    return notes


def _program(code: str, text: str, apart: Callable) -> Case:
    output, notes, ending = apart(lambda note: note(_execute(code)), text)
    return {"output": output, "error": ending or (notes[0].get("error") if notes else None)}


def _execute(code: str) -> Case:
    """Runs a program as a script. Leaving through sys.exit is an ordinary end."""
    try:
        exec(_compiled(code), _main_module().__dict__)
    except SystemExit:
        pass
    except BaseException as error:
        return {"error": describe(error)}
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
    return {}


def _main_module() -> ModuleType:
    main = sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = ["solution.py"]
    return main


def _compiled(code: str):
    return compile(code, "solution.py", "exec")


def describe(error: BaseException) -> str:
    """IndexError: list index out of range (line 3)"""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "solution.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno
    try:
        text = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    except BaseException:
        text = type(error).__name__
    return text[:_SHOWN] + (f" (line {line})" if line else "")


class Functions:
    """The names that a piece of code defines, called from outside."""

    def __init__(self, code: str):
        self._objects: list[Any] = []
        self._broken: str | None = None
        main = _main_module()
        self._names = main.__dict__
        try:
            exec(_compiled(code), self._names)
        except BaseException as error:
            self._broken = describe(error)

    def call(self, request: dict[str, Any], keep: Callable[[Any], int] | None = None) -> Case:
        """{"name", "arguments": [positional …], "keywords"} → {"value"} or {"error"}."""
        if self._broken:
            return {"error": self._broken, "broken": True}
        try:
            arguments = [decode(argument, self._find) for argument in request["arguments"]]
            keywords = {name: decode(value, self._find) for name, value in request.get("keywords", {}).items()}
            return {"value": encode(self._function(request["name"])(*arguments, **keywords), keep)}
        except Unknown as unknown:
            return {"error": f"returned {unknown}"}
        except BaseException as error:
            return {"error": describe(error)}

    def serve(self, link: int) -> None:
        """Answers calls until the other side has gone. Objects that are no plain data stay here, by number."""
        with suppress(Closed):
            while True:
                send(link, self.call(receive(link), self._keep))

    def _function(self, name: str) -> Any:
        if name in self._names:
            return self._names[name]
        if "Solution" in self._names:  # LeetCode's way to ask for a function
            return getattr(self._names["Solution"](), name)
        raise NameError(f"there is no {name}")

    def _keep(self, value: Any) -> int:
        self._objects.append(value)
        return len(self._objects) - 1

    def _find(self, reference: int | str) -> Any:
        return self._names[reference] if isinstance(reference, str) else self._objects[reference]


def _asker(link: int) -> Callable[[dict[str, Any]], Case]:
    def ask(request: dict[str, Any]) -> Case:
        send(link, request)
        return receive(link, time.monotonic() + LINK_SECONDS)

    return ask


def _apart(
    work: Callable[[Note], None], text: str = "", *, limit: int, seconds: float, strict: bool
) -> tuple[str, list[Any], str | None]:
    """Runs `work` in a process of its own: what it printed, what it noted, and how it ended when it did not end well.

    text: its standard input. limit: bytes that it may write. seconds: CPU time of this run and those before it.
    """
    left = seconds - _used()
    if left <= 0:
        raise OutOfTime
    input_, output, notes = _input_file(text), os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(output[0])
        os.close(notes[0])
        _become(input_, output[1])
        resource.setrlimit(resource.RLIMIT_CPU, (ceil(left), ceil(left) + 1))
        if strict:
            seccomp.forbid(processes=True)
        try:
            work(lambda message: _write(notes[1], json.dumps(message) + "\n"))
        except BaseException as error:
            _write(notes[1], json.dumps({"error": describe(error)}) + "\n")
        os._exit(0)
    for fd in (input_, output[1], notes[1]):
        os.close(fd)
    printed, noted, over = _read_all(output[0], notes[0], limit)
    if over:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if _used() >= seconds:
        raise OutOfTime
    ending = f"wrote more than {limit:,} bytes" if over else None
    if not over and os.WIFSIGNALED(status):
        ending = f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return printed.decode(errors="replace"), _lines(noted), ending


def _used() -> float:
    """CPU seconds of the runs so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _become(input_: int, output: int) -> None:
    """Standard input, output and error of the child, as Python's own objects see them."""
    os.dup2(input_, 0)
    os.dup2(output, 1)
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 2)
    sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _input_file(text: str) -> int:
    """An open file that holds `text` and has no name any more."""
    file = os.open("input", os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
    os.unlink("input")
    _write(file, text)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _write(fd: int, text: str) -> None:
    rest = memoryview(text.encode(errors="replace"))
    while rest:
        rest = rest[os.write(fd, rest) :]


def _read_all(output: int, notes: int, limit: int) -> tuple[bytes, bytes, bool]:
    """Everything from both pipes up to `limit` bytes, and whether there was more."""
    found = {output: bytearray(), notes: bytearray()}
    open_ = {output, notes}
    while open_ and sum(map(len, found.values())) <= limit:
        for fd in select.select(open_, [], [])[0]:
            if part := os.read(fd, 1 << 16):
                found[fd] += part
            else:
                open_.discard(fd)
    os.close(output)
    os.close(notes)
    return bytes(found[output]), bytes(found[notes]), bool(open_)


def _lines(data: bytes) -> list[Any]:
    """The messages that arrived whole."""
    messages = []
    for line in data.split(b"\n")[:-1]:
        with suppress(ValueError, RecursionError):
            message = json.loads(line)
            if isinstance(message, dict):
                messages.append(message)
    return messages
