"""At which scale FG-WSD shows: recipes/ablations/fg-wsd.toml over budgets and widths.

    python benchmarks/fg_wsd.py [--runs FOLDER] [--width 32 64] [--tokens 300000 1000000] [--seeds 3]

In each row both arms read the same tokens of each tier, FG-WSD in its order, WSD in one fixed mixture. Prints the
differences, FG-WSD less WSD, with 95 % intervals over seeds (Student's t): losses in nats a token, continuations in
points. Started again after a stop, it goes on: what is made is not made anew.
"""

import argparse
from pathlib import Path

from underdog.recipe.load import load_recipe, replaced
from underdog.report.ablation import show_ablation
from underdog.report.live import LiveReporter
from underdog.stages.ablate import ablate
from underdog.stages.switches import SWITCHES

RECIPE = Path(__file__).parents[1] / "recipes/ablations/fg-wsd.toml"
HEAD = 32  # width of a head


def shape(width: int) -> dict[str, int]:
    """The recipe's model at another width."""
    heads = width // HEAD
    return {"model.width": width, "model.heads": heads, "model.kv_heads": max(1, heads // 2), "model.ffn": 3 * width}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--width", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--tokens", type=int, nargs="+", default=[300_000, 1_000_000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", metavar="KEY=VALUE")
    asked = parser.parse_args()
    resolved = load_recipe(RECIPE, asked.overrides)
    for width in asked.width:
        for tokens in asked.tokens:
            row = replaced(resolved, {**shape(width), "pretrain.tokens": tokens})
            with LiveReporter(row.recipe) as reporter:
                result = ablate(row, SWITCHES["fg_wsd"], asked.seeds, asked.runs, reporter)
            print(f"\nwidth {width}, {tokens:,} tokens, {asked.seeds} seeds: WSD (off), FG-WSD (on)", flush=True)
            show_ablation(result)


if __name__ == "__main__":
    main()
