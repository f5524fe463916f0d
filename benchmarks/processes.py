"""The memory of a process with all that it starts, for benchmarks (Linux)."""

import subprocess
import threading
import time
from pathlib import Path


def watch(process: subprocess.Popen, every: float = 0.1) -> list[float]:
    """The largest sum of the memory of a process and all below it, in MiB, looked at again and again; shared pages
    are counted in part (Pss), so that the sum counts them once."""
    peak = [0.0]

    def look() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], sum(map(held, [process.pid, *below(process.pid)])))
            time.sleep(every)

    threading.Thread(target=look, daemon=True).start()
    return peak


def below(pid: int) -> list[int]:
    """Children, whichever thread started them, and theirs."""
    direct: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct += map(int, listed.read_text().split())
        except OSError:
            continue
    return direct + [further for child in direct for further in below(child)]


def held(pid: int) -> float:
    """Resident memory in MiB; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    except (OSError, StopIteration):
        return 0.0
