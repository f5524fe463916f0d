"""How many short programs a second the sandbox runs and judges: `python benchmarks/sandbox.py`.

Programs by standard output, functions by their value, and assertions that run in a process of their own. The CPU time
of a program says what other work on the cores hides; `2 / CPU time` is what two free cores reach.
"""

import argparse
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor

from underdog.lanes import cores
from underdog.verify.sandbox.job import Job
from underdog.verify.sandbox.local import open_local

JOBS = {
    "program": Job("n = int(input())\nprint(sum(range(n)))", inputs=["5"]),
    "function": Job("def f(x): return x + 1", calls=[("f", [1]), ("f", [2]), ("f", [3])]),
    "assertions": Job("def f(x): return x + 1", tests="assert f(1) == 2\nassert f(2) == 3\nassert f(3) == 4"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    count = parser.parse_args().count
    sandbox = open_local(weak=False, count=cores())
    print(f"{cores()} cores, load {os.getloadavg()[0]:.1f}, kept in by {', '.join(sandbox.layers)}")
    for name, job in JOBS.items():
        with ThreadPoolExecutor(cores()) as threads:
            list(threads.map(sandbox.run, [job] * 2 * cores()))  # servers start
            begun, start = _cpu_of(sandbox), time.monotonic()
            reports = list(threads.map(sandbox.run, [job] * count))
        seconds = time.monotonic() - start
        cpu = (_cpu_of(sandbox) - begun) / count
        assert all(report.ending == "finished" for report in reports)
        print(f"{name:<12} {count / seconds:6.1f} a second; {1000 * cpu:5.1f} ms of CPU each; 2 / CPU {2 / cpu:6.1f}")


def _cpu_of(sandbox) -> float:
    """CPU seconds of the servers and all they have forked; they are ended to be counted, and start again."""
    sandbox.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
