"""Messages between processes: JSON behind four bytes of length, over file descriptors. Standard library only."""

import json
import os
import select
import time
from typing import Any

LIMIT = 64 << 20  # bytes; a longer message is taken for a broken one


class Closed(Exception):
    """The other side has gone, or what it sent is no message."""


class Late(Exception):
    """The deadline passed first."""


def send(fd: int, message: Any, deadline: float | None = None) -> None:
    """Writes a message. `deadline` is a time.monotonic() and wants a descriptor that does not block.

    Raises Late or Closed.
    """
    body = json.dumps(message).encode()
    rest = memoryview(len(body).to_bytes(4, "big") + body)
    while rest:
        _wait([], [fd], deadline)
        try:
            rest = rest[os.write(fd, rest[: 1 << 16]) :]
        except BlockingIOError:
            continue
        except OSError as error:
            raise Closed(str(error)) from error


def receive(fd: int, deadline: float | None = None, limit: int = LIMIT) -> Any:
    """Reads a message of at most `limit` bytes. Raises Late or Closed."""
    length = int.from_bytes(_exactly(fd, 4, deadline), "big")
    if length > limit:
        raise Closed(f"a message of {length:,} bytes, more than {limit:,}")
    try:
        return json.loads(_exactly(fd, length, deadline))
    except (ValueError, RecursionError) as error:
        raise Closed("not a message") from error


def _exactly(fd: int, count: int, deadline: float | None) -> bytes:
    data = bytearray()
    while len(data) < count:
        _wait([fd], [], deadline)
        try:
            part = os.read(fd, min(count - len(data), 1 << 20))
        except BlockingIOError:
            continue
        except OSError as error:
            raise Closed(str(error)) from error
        if not part:
            raise Closed("the other side has gone")
        data += part
    return bytes(data)


def _wait(readable: list[int], writable: list[int], deadline: float | None) -> None:
    if deadline is not None and not any(select.select(readable, writable, [], max(0.0, deadline - time.monotonic()))):
        raise Late
