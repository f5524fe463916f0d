"""Entries of reasoning-gym's tasks, made by workers on all cores and kept where making them is slow.

Entry i of a task is a function of the task's settings and its seed alone, so neither the number of workers nor the
cache changes anything but the time.
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from underdog.artifacts.files import digest_json, write_text
from underdog.errors import UserError, did_you_mean
from underdog.lanes import cores
from underdog.verify.identity import problem_id
from underdog.verify.logic import ask_gym
from underdog.verify.workers import Crashed, TimedOut

Entry = Mapping[str, Any]  # reasoning-gym's: "question", "answer", "metadata"
CHUNK = 16  # entries that a worker makes at once
SECONDS = 300.0  # CPU time for a chunk
SLOW = 0.2  # seconds of CPU time from which a chunk is kept
SIZE = 1 << 16  # entries of a dataset; the next ones come from another, with a seed of its own


def entries(task: str, seed: int, config: Mapping[str, Any]) -> Iterator[Entry]:
    """The entries of a task from the first on, without end. Raises UserError for settings that it does not have."""
    common = {"do": "entries", "task": task, "config": dict(config), "size": SIZE, "count": CHUNK}
    pending: deque[Future[list[Entry]]] = deque()
    with ThreadPoolExecutor(cores()) as threads:
        try:
            for start in count(0, CHUNK):
                block, first = divmod(start, SIZE)
                message = {**common, "seed": scattered(task, seed, block), "first": first}
                pending.append(threads.submit(_chunk, message))
                if len(pending) > cores():
                    yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def scattered(task: str, seed: int, block: int = 0) -> int:
    """reasoning-gym's seed for ours. It draws entry i from seed + i: neighbouring seeds would share entries."""
    return int(problem_id(task, f"{seed} {block}" if block else str(seed))[:12], 16)


def task_names() -> list[str]:
    """All tasks that reasoning-gym has, but those that only mix others."""
    return ask_gym({"do": "names"}, SECONDS)["names"]


def check_config(task: str, config: Mapping[str, Any]) -> None:
    """Raises UserError for a difficulty that the task does not have."""
    found = ask_gym({"do": "check", "task": task, "config": dict(config)}, SECONDS)
    if "problem" in found:
        names = [name for name in config if name not in found["settings"]]
        hint = did_you_mean(names[0], found["settings"]) if names else None
        raise UserError(f'reasoning-gym\'s task "{task}": {found["problem"]}', hint=hint)


def _chunk(message: dict[str, Any]) -> list[Entry]:
    kept = _cache() / f"{digest_json([version('reasoning_gym'), message])}.json"
    with suppress(OSError, ValueError):
        return json.loads(kept.read_text(encoding="utf-8"))
    try:
        found = ask_gym(message, SECONDS)
    except (TimedOut, Crashed) as why:
        where = f"entries {message['first']} to {message['first'] + CHUNK} of {message['task']}"
        ended = f"took more than {SECONDS:.0f} s" if isinstance(why, TimedOut) else f"could not be made: {why}"
        raise UserError(f"{where} {ended}.", hint="Choose an easier difficulty, or another task.") from why
    if "problem" in found:
        raise UserError(f'reasoning-gym\'s task "{message["task"]}": {found["problem"]}')
    if found["seconds"] > SLOW:
        with suppress(OSError):  # a cache that cannot be written is no cache
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_text(kept, json.dumps(found["entries"]))
    return found["entries"]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "underdog" / "reasoning-gym"
