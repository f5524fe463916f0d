"""What this machine computes with, found by trying."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from underdog.generate.footprint import free_memory
from underdog.recipe.schema import Compute

ROWS, WIDTH = 512, 768  # of the probes' products: a part of a batch through a small model
BF16_PAYS = 1.3  # times as many products as in float32 from which bfloat16 is worth its rounding


def memory() -> tuple[float, float]:
    """Main memory in GiB: all of it, and what is free for a new process."""
    pages = {name: os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES", "SC_PAGE_SIZE")}
    free = free_memory()  # counts what the disk's cache would give back
    if free is None:
        free = pages["SC_AVPHYS_PAGES"] * pages["SC_PAGE_SIZE"]
    return pages["SC_PHYS_PAGES"] * pages["SC_PAGE_SIZE"] / 2**30, free / 2**30


def gpus() -> list[str]:
    """Name and memory of each GPU that torch can use."""
    found = (torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count()))
    return [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in found]


def bf16_speed(seconds: float = 0.3) -> float:
    """Products in bfloat16 in the time of one in float32, on a GPU where there is one, else on one core."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, w = torch.randn(ROWS, WIDTH, device=device), torch.randn(WIDTH, WIDTH, device=device)
    half_x, half_w = x.bfloat16(), w.bfloat16()
    with _threads(1):
        exact = _rate(lambda: x @ w, seconds)
        return _rate(lambda: half_x @ half_w, seconds) / exact


def bf16_warning(compute: Compute) -> list[str]:
    """What to say where bfloat16 is asked of a machine that has no units for it."""
    if compute.precision != "bf16" or (speed := bf16_speed()) >= 1.0:
        return []
    return [f"bf16 is {1 / speed:.1f} times slower than float32 here: this machine has no units for it."]


def float32_rate(lanes: int = 1, threads: int = 1, seconds: float = 0.5) -> float:
    """GFLOP/s of float32 products in that many lanes side by side, each product spread over that many threads."""
    x, w = torch.randn(ROWS, WIDTH), torch.randn(WIDTH, WIDTH)
    with _threads(threads), ThreadPoolExecutor(lanes) as pool:
        rates = [pool.submit(_rate, lambda: x @ w, seconds) for _ in range(lanes)]
        return sum(rate.result() for rate in rates) * 2 * ROWS * WIDTH * WIDTH / 1e9


def _rate(work: Callable[[], torch.Tensor], seconds: float) -> float:
    """How often a second `work` is done, warmed up."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)
    work()
    wait()
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        work()
        wait()
        count += 1
    return count / spent


class _threads:
    """That many threads for torch's operations, for a while."""

    def __init__(self, count: int):
        self._count, self._before = count, torch.get_num_threads()

    def __enter__(self) -> None:
        torch.set_num_threads(self._count)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)
