"""The outcome of an ablation as a table and a sentence."""

from rich.console import Console
from rich.table import Table

from underdog.stages.ablate import Ablation
from underdog.stages.difference import Difference
from underdog.stages.switches import SWITCHES


def show_ablation(result: Ablation) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("", "off", "on", "difference (95 %)"):
        table.add_column(column, justify="left" if not column else "right")
    for one in result.differences:
        table.add_row(one.name, _level(one, one.off), _level(one, one.on), _difference(one))
    console = Console()
    console.print()
    console.print(table)
    console.print(f"{result.switch.name}: {result.switch.help}.", highlight=False)
    if result.seeds == 1:
        console.print("One seed tells nothing about chance; use --seeds 3 or more.", highlight=False)
    for one in result.differences:
        if one.interval:
            console.print(f"{one.name}: {verdict(one, one.interval)}", highlight=False, soft_wrap=True)
        if one.over_problems:
            console.print(_over_problems(one, one.over_problems), highlight=False, markup=False, soft_wrap=True)
    for folder in result.runs:
        console.print(f"  {folder}", highlight=False, style="dim", soft_wrap=True)


def show_switches() -> None:
    """What can be ablated by name."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for switch in SWITCHES.values():
        table.add_row(switch.name, switch.help)
    console = Console()
    console.print(table)
    console.print("Any other setting: --switch section.key=value, which is its off state.", highlight=False)


def verdict(one: Difference, interval: tuple[float, float]) -> str:
    """What the interval allows to say."""
    low, high = interval
    if low <= 0 <= high:
        return f"no difference shown with {len(one.on)} seeds: the interval holds 0."
    return f"{'higher' if one.mean > 0 else 'lower'} with the switch on; {len(one.on)} seeds."


def _level(one: Difference, values: list[float]) -> str:
    level = sum(values) / len(values)
    return f"{level:.1%}" if one.percent else f"{level:.3f}"


def _over_problems(one: Difference, interval: tuple[float, float]) -> str:
    """Every seed has the same test problems, whose choice the seeds' spread says nothing of."""
    return f"  over its {len(one.gains)} problems, the same for every seed: {_bounds(one, interval)}"


def _difference(one: Difference) -> str:
    return _shown(one, one.mean) + (f" {_bounds(one, one.interval)}" if one.interval else "")


def _bounds(one: Difference, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"[{_shown(one, low)}, {_shown(one, high)}]"


def _shown(one: Difference, value: float) -> str:
    return f"{100 * value:+.1f}" if one.percent else f"{value:+.3f}"
