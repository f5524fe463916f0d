"""Whole runs of a small recipe with rollouts by vLLM: started with the run, and reached by URL; each is killed once.

    make vllm
    python benchmarks/rollouts_vllm.py [--runs FOLDER] [--steps 4] [underdog run's own options]

Prints every step with the engine in the trainer beside it: the reward, and how far the sampler's log-probabilities are
from the trainer's (nats a token). Ends with status 1 where they are further than 1e-4 apart, a killed run does not go
on, or a server outlives its trainer.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from underdog.generate.vllm_server import started
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.model.weights import save_pretrained, untie
from underdog.recipe.load import load_recipe
from underdog.stages.pipeline import Run, open_run
from underdog.tokens.tokenizer import Tokenizer

REPO = Path(__file__).parents[1]
RECIPE, TEXT = REPO / "tests" / "recipes" / "micro.toml", REPO / "docs"
SMALL = {
    "sft.steps": 100,
    "reinforce.prompts": 4,
    "reinforce.rollouts": 8,
    "reinforce.minibatches": 2,
    "reinforce.lr": 1e-3,
    "reinforce.max_new_tokens": 24,
    "reinforce.validate_every": 2,
    "evaluate.samples": 2,
}
CONTEXT = 256
ALIKE = 1e-4  # nats a token


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--runs", type=Path)
    args, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as fresh:
        runs, before = Runs(args.runs or Path(fresh), args.steps, options), servers()
        built_in = runs.whole("built-in")
        began = time.monotonic()
        ours = runs.killed_once("vllm")
        print(f"vLLM started with the run, twice: {time.monotonic() - began:.0f} s")
        if left := remaining(before):
            sys.exit(f"vLLM outlives its trainer: {left}")
        start = Path(shutil.copytree(ours.artifacts["sft"].path, runs.root / "with-a-head", dirs_exist_ok=True))
        untie(start)  # a server of one's own wants a model with a head of its own
        with started(start, CONTEXT) as url:
            began = time.monotonic()
            theirs = runs.killed_once(url)
            print(f"the same by {url}: {time.monotonic() - began:.0f} s")
        sys.exit(not compared({"built-in": built_in, "vllm": ours, "by URL": theirs}))


class Runs:
    """Runs of the recipe below one root; stages before reinforcement are made once."""

    def __init__(self, root: Path, steps: int, options: Sequence[str]):
        self.root, self.options = root, list(options)
        self.settings = {**SMALL, "reinforce.steps": steps, "base": base(root / "base")}

    def begin(self, engine: str) -> subprocess.Popen:
        settings = {**self.settings, "reinforce.engine": engine}
        asked = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        command = [sys.executable, "-m", "underdog.cli", "run", str(RECIPE), "--runs", str(self.root)]
        env = {**os.environ, "UNDERDOG_SAVE_SECONDS": "0"}
        return subprocess.Popen([*command, *asked, *self.options, "--until", "evaluate-reinforce"], env=env)

    def whole(self, engine: str) -> Run:
        if self.begin(engine).wait():
            sys.exit(f"The run with {engine} failed.")
        newest = max(self.root.glob("micro-*/run.json"), key=lambda path: path.stat().st_mtime)
        return open_run(newest.parent)

    def killed_once(self, engine: str) -> Run:
        """Killed (SIGKILL) after its second step, and run again."""
        process = self.begin(engine)
        while not list(self.root.glob("store/reinforce-*.partial/state/step-00000002")):
            if process.poll() is not None:
                sys.exit(f"The run with {engine} ended before it could be killed: status {process.returncode}.")
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"The run with {engine} was killed after two steps; the same command again:", flush=True)
        return self.whole(engine)


def base(folder: Path) -> Path:
    """A checkpoint to begin with, of random weights: what is looked at here is the loop."""
    if not folder.exists():
        tokenizer = Tokenizer.train([page.read_text() for page in sorted(TEXT.glob("*.md"))], 600, "qwen2")
        model = load_recipe(RECIPE).recipe.model
        save_pretrained(Decoder(ModelConfig.from_recipe(model, tokenizer.vocabulary)).initialise(1), tokenizer, folder)
    return folder


def servers() -> set[str]:
    """The ids of all processes of vLLM."""
    found = subprocess.run(["pgrep", "-f", "vllm.entrypoints|VLLM::"], capture_output=True, text=True)
    return set(found.stdout.split())


def remaining(before: set[str]) -> set[str]:
    """Those that were not there before, after they had half a minute to end."""
    for _ in range(60):
        if not servers() - before:
            break
        time.sleep(0.5)
    return servers() - before


def compared(runs: dict[str, Run]) -> bool:
    """Prints the runs' steps side by side; whether samplers and trainer agreed in all of them."""
    logs = {name: steps(run) for name, run in runs.items()}
    print("\nstep" + "".join(f"{name:>32}" for name in logs))
    for number, records in enumerate(zip(*logs.values(), strict=True)):
        cells = (f"reward {record['reward']:.3f}, apart {record.get('off_sampler', 0.0):.1e}" for record in records)
        print(f"{number:4}" + "".join(f"{cell:>32}" for cell in cells))
    for name, run in runs.items():
        look = run.artifacts["evaluate-reinforce"].metrics["sampled"]
        print(f"{name:>10}: pass@1 {look['mean']:.1%} [{look['low']:.1%}, {look['high']:.1%}] afterwards")
    apart = [record.get("off_sampler", 0.0) for log in logs.values() for record in log]
    trained = all(any("off_sampler" in record for record in log) for log in logs.values())
    return trained and max(apart) < ALIKE


def steps(run: Run) -> list[dict[str, Any]]:
    return [record for record in run.artifacts["reinforce"].log() if "reward" in record]


if __name__ == "__main__":
    main()
