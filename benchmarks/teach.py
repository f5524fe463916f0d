"""What teaching is worth at small scale: a teacher, its students, and every comparison with its interval.

    python benchmarks/teach.py [--runs FOLDER] [--seeds 3] [--first 1] [--only NAME …]

recipes/ablations/teach.toml and reconstruct.toml say what is trained. Started again after a stop, it goes on: what is
made is not made anew. Comparisons are paired by seed; "seconds of its stage" is what either arm took, so that equal
compute can be seen.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from underdog.recipe.load import load_recipe
from underdog.report.ablation import show_ablation
from underdog.report.live import LiveReporter
from underdog.stages.ablate import ablate
from underdog.stages.pipeline import Run, run_recipe
from underdog.stages.switches import Switch, find_switch

RECIPES = Path(__file__).parents[1] / "recipes/ablations"
TEACH, RECONSTRUCT = RECIPES / "teach.toml", RECIPES / "reconstruct.toml"
TEACHER = ["name=teacher", "sft.steps=450", "reinforce.steps=30"]
PAIRS = ["distill.steps=40"]
DPO_LR = 3e-5
COMPARISONS = {
    "reconstructed reasoning over answers alone": ("reconstruct", RECONSTRUCT, []),
    "DPD over the same time of SFT": ("distill_over_sft", TEACH, PAIRS),
    "DPD over DPO": ("dpd_over_dpo", TEACH, PAIRS),
    "DPD over distillation": ("dpd_over_distillation", TEACH, PAIRS),
    "on-policy distillation over reinforcement": ("distill_over_reinforce", TEACH, ["distill.steps=30"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(COMPARISONS), choices=COMPARISONS)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    args = parser.parse_args()
    teacher = run(args.runs, TEACHER, "evaluate-reinforce")
    for stage in ("sft", "reinforce"):
        look, seconds = teacher.artifacts[f"evaluate-{stage}"].metrics, teacher.artifacts[stage].seconds
        sampled, greedy = (f"{look[how]['mean']:.1%} {how}" for how in ("sampled", "greedy"))
        print(f"teacher after {stage}: {sampled}, {greedy}, {seconds:.0f} s")
    base, strong = (teacher.artifacts[stage].path.resolve() for stage in ("pretrain", "reinforce"))
    common = [f"base={base}", f"distill.teacher={strong}", f"seed={args.first}", *args.overrides]
    for name in args.only:
        switch, recipe, settings = COMPARISONS[name]
        resolved = load_recipe(recipe, [*common, *settings])
        with LiveReporter(resolved.recipe) as reporter:
            result = ablate(resolved, tuned(find_switch(switch)), args.seeds, args.runs, reporter)
        print(f"\n== {name}")
        show_ablation(result)


def tuned(switch: Switch) -> Switch:
    """DPO alone at the rate that harmed it least; at DPD's it forgets all that it knew (docs/notebook.md)."""
    return replace(switch, off={**switch.off, "distill.lr": DPO_LR}) if switch.name == "dpd_over_dpo" else switch


def run(runs: Path, overrides: list[str], until: str) -> Run:
    recipe = load_recipe(TEACH, overrides).recipe
    with LiveReporter(recipe) as reporter:
        return run_recipe(recipe, runs, reporter, until)


if __name__ == "__main__":
    main()
