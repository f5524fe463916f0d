"""What the demo costs and brings: wall time, peak memory, held-out loss by phase, pass@1 by stage.

    python benchmarks/demo.py [--runs FOLDER] [underdog run's own options]

Memory is the largest sum over all processes of the run at one time, looked at once a second: a look takes time, too.

Runs `underdog run recipes/demo.toml` in a process of its own, into a new folder unless --runs names one, and reads the
figures from the run's manifests. Quote medians of several calls on a machine that does nothing else.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import watch

from underdog.stages.pipeline import open_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--recipe", default="recipes/demo.toml")
    args, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as fresh:
        root = args.runs or Path(fresh)
        start = time.monotonic()
        command = [sys.executable, "-m", "underdog.cli", "run", args.recipe, "--runs", str(root), *options]
        with subprocess.Popen(command) as process:
            peak = watch(process, every=1.0)
        if process.returncode:
            sys.exit(process.returncode)
        wall = time.monotonic() - start
        newest = max(root.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
        artifacts = open_run(newest.parent).artifacts
    print(f"\nwall time            {wall:.0f} s")
    print(f"peak memory          {peak[0] / 1024:.2f} GiB, all processes together")
    losses = artifacts["pretrain"].metrics["held_out_loss"].values()
    print("held-out loss        " + " → ".join(f"{loss:.3f}" for loss in losses))
    for name, artifact in artifacts.items():
        if name.startswith("evaluate-"):
            sampled, greedy = artifact.metrics["sampled"], artifact.metrics["greedy"]
            print(
                f"{name.removeprefix('evaluate-'):<20} pass@1 {sampled['mean']:.1%} "
                f"[{sampled['low']:.1%}, {sampled['high']:.1%}], greedy {greedy['mean']:.1%}"
            )
    print(f"chance               {artifacts['evaluate-sft'].metrics['chance']:.1%}")


if __name__ == "__main__":
    main()
