"""What this machine computes with, found by trying."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from underdog.generate.footprint import free_memory
from underdog.recipe.schema import Compute
from underdog.train.float8 import check_float8, product_in_float8

ROWS, WIDTH = 512, 768  # of the probes' products: a part of a batch through a small model
OF_GPU = 16_384, 4_096  # the same where a GPU computes: smaller ones only wait for it to begin
PAYS = 1.3  # times as many products as in the next wider numbers from which fewer bits are worth their rounding

IMITATED = "A CPU only imitates fp8: it rounds as a GPU would and takes longer than in float32."


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


def device() -> str:
    """What computes here."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def speed(precision: str, seconds: float = 0.3) -> float:
    """Products in bfloat16 ("bf16") or float8 ("fp8") in the time of one in float32, on a GPU where there is one, else
    on one core. Float8 numbers are made anew for each, as training makes them.

    Raises:
        UserError: this GPU does not multiply in float8.
    """
    if precision == "fp8":
        check_float8(device())
    rows, width = OF_GPU if device() == "cuda" else (ROWS, WIDTH)
    x, w = torch.randn(rows, width, device=device()), torch.randn(width, width, device=device())
    half_x, half_w = x.bfloat16(), w.bfloat16()
    with _threads(1):
        exact = _rate(lambda: x @ w, seconds)
        fewer = {"bf16": lambda: half_x @ half_w, "fp8": lambda: product_in_float8(half_x, half_w)}[precision]
        return _rate(fewer, seconds) / exact


def precision_warning(compute: Compute) -> list[str]:
    """What to say where few bits are asked of a machine that has no units for them.

    Raises:
        UserError: this GPU does not multiply in float8, or torchao is missing.
    """
    if compute.precision == "fp8" and device() == "cpu":
        check_float8("cpu")
        return [IMITATED]
    if compute.precision == "float32" or (found := speed(compute.precision)) >= 1.0:
        return []
    return [f"{compute.precision} is {1 / found:.1f} times slower than float32 here: no units for it."]


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
