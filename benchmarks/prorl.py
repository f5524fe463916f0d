"""ProRL's recipe, shrunk, from raw text to its evaluation: what each of its eight runs did.

    python benchmarks/prorl.py [--scale 1e-9] [--version 1] [--runs FOLDER] [underdog run's own options]

Version 1 of ProRL clears the optimizer's state at a reset, version 2 keeps it and has other advantages and bounds. Ends
with status 1 where a run, a reset or the longer context of the last run did not come.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from underdog.recipe.stages import stages
from underdog.stages.pipeline import Run, open_run

RECIPES = Path(__file__).parents[1] / "recipes"
VERSIONS = {1: "prorl-1.5b", 2: "prorl-1.5b-v2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="1e-9")
    parser.add_argument("--version", type=int, choices=VERSIONS, default=1)
    parser.add_argument("--runs", type=Path)
    args, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as fresh:
        root = args.runs or Path(fresh)
        recipe = RECIPES / f"{VERSIONS[args.version]}.toml"
        command = [sys.executable, "-m", "underdog.cli", "run", str(recipe), "--scale", args.scale, "--runs", str(root)]
        start = time.monotonic()
        subprocess.run([*command, *options, "--until", "evaluate-reinforce"], check=True)
        print(f"\nversion {args.version} at {args.scale}: {time.monotonic() - start:.0f} s")
        newest = max(root.glob(f"{recipe.stem}-*/run.json"), key=lambda path: path.stat().st_mtime)
        sys.exit(not told(open_run(newest.parent)))


def told(run: Run) -> bool:
    """Prints what came of each stage; whether all came that the recipe asks for."""
    log = run.artifacts["reinforce"].log()
    resets = [record for record in log if "reset" in record]
    steps = {name: list(found) for name, found in groupby(by_step(log), key=lambda record: record["stage"])}
    plan = stages(run.recipe.reinforce)
    print(f"{'':8}{'steps':>6}{'answers':>9}{'room':>6}{'length':>8}{'reward':>15}  resets before step")
    for stage in plan:
        done, now = steps.get(stage.name, []), stage.settings
        mean = sum(record["length"] for record in done) / max(len(done), 1)
        reward = f"{done[0]['reward']:.3f} → {done[-1]['reward']:.3f}" if done else ""
        when = ", ".join(str(record["step"]) for record in resets if record["step"] in stage.steps)
        settings = f"{len(done):6}{now.rollouts:9}{now.max_new_tokens:6}"
        print(f"{stage.name:8}{settings}{mean:8.1f}{reward:>15}  {when or 'none'}")
    for record in resets:
        print(f"before step {record['step']}: {record['reset']}")
    return came(plan, steps, resets, run.recipe.reinforce.reset.every)


def came(plan: Sequence[Any], steps: Mapping[str, list], resets: Sequence[Mapping[str, Any]], every: int) -> bool:
    """Every stage its steps, a reset at least every so many of them, and more room in the last stage."""
    times = [0, *(record["step"] for record in resets), plan[-1].steps.stop]
    return (
        all(len(steps.get(stage.name, [])) == len(stage.steps) for stage in plan)
        and all(later - earlier <= every for earlier, later in pairwise(times))
        and plan[-1].settings.max_new_tokens > plan[-2].settings.max_new_tokens
    )


def by_step(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [record for record in log if "reward" in record]


if __name__ == "__main__":
    main()
