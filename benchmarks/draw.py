"""How long the demo's problems take to draw: `python benchmarks/draw.py`.

reasoning-gym's own generator in this process against `draw`, whose workers use exact fractions. CPU time says what
other work on the cores hides. Nothing is read from the cache.
"""

import argparse
import os
import resource
import tempfile
import time
from itertools import islice

from underdog.verify import logic
from underdog.verify.gym import draw, get_task
from underdog.verify.gym_entries import scattered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--task", default="countdown")
    given = parser.parse_args()
    print(f"{given.count:,} entries of {given.task}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        _timed("workers", lambda: list(islice(draw(given.task, 1), given.count)))
    task = get_task(given.task)
    _timed("plain", lambda: _plain(task, given.count))


def _plain(task, count: int) -> list:
    import reasoning_gym

    dataset = reasoning_gym.create_dataset(task.name, seed=scattered(task.name, 1), size=count, **task.config)
    return [task.problem(entry) for entry in dataset]


def _timed(name: str, work) -> None:
    begun, start = _cpu(), time.monotonic()
    work()
    seconds = time.monotonic() - start
    logic._pool().each(lambda worker: worker.kill())  # so that their time is counted
    print(f"{name:<8} {seconds:6.1f} s, {_cpu() - begun:6.1f} s of CPU")


def _cpu() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()
