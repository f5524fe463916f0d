"""`underdog doctor`: what the machine is, what it reaches, and what follows for a run."""

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from underdog.errors import UserError
from underdog.lanes import cores
from underdog.train import hardware
from underdog.verify.sandbox.local import open_local

SCARCE_MEMORY, SCARCE_DISK = 4.0, 5.0  # GiB below which the demo recipe may not fit
PAYS = 1.3  # times what one core reaches, from which more are worth it


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what it is, and what to do where it is not as it should be."""

    name: str
    found: str
    advice: str = ""


def doctor(folder: Path) -> None:
    """Prints the findings; `folder` is where runs will go."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in examine(folder):
        mark = "[yellow]![/]" if finding.advice else "[green]✓[/]"
        table.add_row(mark, finding.name, finding.found)
        if finding.advice:
            table.add_row("", "", f"[yellow]{finding.advice}[/]")
    Console().print(table)


def examine(folder: Path) -> Iterator[Finding]:
    yield Finding("machine", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}")
    yield Finding("torch", f"{torch.__version__}, {'CUDA ' + torch.version.cuda if torch.version.cuda else 'CPU only'}")
    yield _memory(*hardware.memory())
    yield _disk(folder)
    yield _gpus(hardware.gpus())
    yield _sandbox()
    count = cores()
    one = hardware.float32_rate(1)
    yield Finding("CPU", f"{count} core{'s' if count > 1 else ''}, {one:,.0f} GFLOP/s of float32 products on one")
    if count > 1:
        yield _lanes(count, hardware.float32_rate(lanes=count) / one, hardware.float32_rate(threads=count) / one)
    bf16 = hardware.speed("bf16")
    yield _bf16(bf16)
    yield _fp8(max(1.0, bf16))


def _memory(total: float, free: float) -> Finding:
    advice = "Little is free: end other programs, or shrink the run with --scale." if free < SCARCE_MEMORY else ""
    return Finding("memory", f"{total:.1f} GiB, {free:.1f} GiB free", advice)


def _disk(folder: Path) -> Finding:
    """The folder need not be there yet."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free / 2**30
    advice = "Little is free: --runs puts the runs elsewhere." if free < SCARCE_DISK else ""
    return Finding("disk", f"{free:,.1f} GiB free for {folder}", advice)


def _gpus(names: list[str]) -> Finding:
    if not names:
        return Finding("GPU", "none that torch can use: everything runs on the CPU")
    several = f"; --nproc {len(names)} uses all of them" if len(names) > 1 else ""
    return Finding("GPU", "; ".join(names) + several)


def _sandbox() -> Finding:
    """What would keep code that a model wrote away from everything else."""
    try:
        layers = open_local(weak=False, count=1).layers
    except UserError as problem:
        return Finding("sandbox", "none: code that a model wrote will not be run", problem.hint or "")
    apart = {"namespaces": "user, pid, mount, network and ipc namespaces"}
    return Finding("sandbox", ", ".join(apart.get(layer, layer) for layer in layers))


def _lanes(count: int, side_by_side: float, spread: float) -> Finding:
    """Training computes in lanes, whole pieces of work side by side: they wait for each other once a piece. Products
    spread over threads wait thousands of times a step, which a busy neighbour makes dear; they are shown beside."""
    found = f"{count} side by side reach {side_by_side:.1f} times what one does; one product spread over {count}: "
    found += f"{spread:.1f} times"
    advice = "Something else keeps the cores busy. Until it is gone, --set threads=1 may be as fast."
    return Finding("lanes", found, "" if side_by_side >= PAYS else advice)


def _bf16(speed: float) -> Finding:
    if speed >= hardware.PAYS:
        return Finding("bf16", f"{speed:.1f} times the speed of float32: --set compute.precision=bf16")
    return Finding("bf16", f"{speed:.2f} times the speed of float32: stay with float32, the default")


def _fp8(next_best: float) -> Finding:
    """`next_best`: products in float32 or bfloat16, whichever is faster, in the time of one in float32."""
    if hardware.device() == "cpu":
        return Finding("fp8", hardware.IMITATED)
    try:
        speed = hardware.speed("fp8") / next_best
    except UserError as problem:
        return Finding("fp8", str(problem))
    if speed >= hardware.PAYS:
        return Finding("fp8", f"{speed:.1f} times the speed of the next best: --set compute.precision=fp8")
    return Finding("fp8", f"{speed:.2f} times the speed of the next best: it does not pay here")
