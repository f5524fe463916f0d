"""Intents from labelled sentences: the floor of `underdog tune` on banking77 and CLINC150, and the share kept local.

    python benchmarks/intents.py DATA        # DATA holds banking77/ and clinc150/

banking77: fitted and calibrated on train.csv, accuracy on test.csv. CLINC150: fitted on the 15,000 in-scope training
sentences; accuracy on the 3,000 of validation; out-of-scope sentences found at the threshold that rejects 5 % of those,
and the area under their ROC curve; and the share of all validation traffic that is kept where at most 2 % may be wrong
(out-of-scope counts as wrong), fitted without and with 100 out-of-scope sentences as a label of their own. That
threshold is set on one half of the traffic and judged on the other, for ten ways of halving it.
"""

import csv
import json
import random
import sys
import time
from pathlib import Path
from statistics import mean

from sklearn.metrics import roc_auc_score

from underdog.tasks.route import fit_threshold
from underdog.tasks.tune import tune
from underdog.tasks.tuned import Tuned


def banking77(folder: Path) -> None:
    train, test = ([*csv.DictReader((folder / f"{part}.csv").open(encoding="utf-8"))] for part in ("train", "test"))
    start = time.process_time()
    tuned, _ = tune([row["text"] for row in train], [row["category"] for row in train])
    seconds = time.process_time() - start
    start = time.process_time()
    right = sum(tuned(row["text"]).label == row["category"] for row in test)
    each = 1000 * (time.process_time() - start) / len(test)
    print(f"banking77: {right / len(test):.1%} of {len(test)} test sentences; "
          f"fitted in {seconds:.0f} CPU s, {each:.1f} ms a sentence")  # fmt: skip


def clinc150(folder: Path) -> None:
    data = json.loads((folder / "clinc150_train_val.json").read_text(encoding="utf-8"))
    tuned, _ = tune(*zip(*data["train"], strict=True))
    inside = [(tuned(text), label) for text, label in data["val"]]
    outside = [tuned(text) for text, _ in data["oos_val"] + data["oos_train"]]
    right = sum(found.label == label for found, label in inside)
    limit = sorted(found.confidence for found, _ in inside)[len(inside) // 20]
    caught = sum(found.confidence < limit for found in outside)
    known = [1] * len(inside) + [0] * len(outside)
    area = roc_auc_score(known, [one.confidence for one in [*(found for found, _ in inside), *outside]])
    print(f"CLINC150: {right / len(inside):.1%} of {len(inside)} in scope; "
          f"{caught / len(outside):.1%} of {len(outside)} out of scope found at 5 % rejected, "
          f"AUROC {area:.3f}")  # fmt: skip
    kept_local("", tuned, data["val"], data["oos_val"] + data["oos_train"])
    tuned, _ = tune(*zip(*data["train"], *data["oos_train"], strict=True))
    kept_local(", its 100 out-of-scope sentences fitted as a label of their own", tuned, data["val"], data["oos_val"])


def kept_local(how: str, tuned: Tuned, inside: list[list[str]], outside: list[list[str]]) -> None:
    """What is found to be out of scope is not kept; what is kept of it is wrong."""
    found = [(tuned(text), label) for text, label in [*inside, *((text, None) for text, _ in outside)]]
    traffic = [(0.0 if one.label == "oos" else one.confidence, one.label == label) for one, label in found]
    halves = [kept_of_other_half(traffic, seed) for seed in range(10)]
    shares, wrong = ([half[i] for half in halves] for i in (0, 1))
    print(f"  kept local at 2 %{how}: {mean(shares):.1%} of the other half ({min(shares):.1%} to {max(shares):.1%}); "
          f"{mean(wrong):.1%} of it wrong ({min(wrong):.1%} to {max(wrong):.1%})")  # fmt: skip


def kept_of_other_half(traffic: list[tuple[float, bool]], seed: int) -> tuple[float, float]:
    """Share kept, and share of that which is wrong, under the threshold of one half."""
    traffic = random.Random(seed).sample(traffic, len(traffic))
    half = len(traffic) // 2
    threshold = fit_threshold(*zip(*traffic[:half], strict=True), error=0.02)
    kept = [correct for confidence, correct in traffic[half:] if confidence >= threshold.value]
    return len(kept) / (len(traffic) - half), kept.count(False) / max(1, len(kept))


if __name__ == "__main__":
    banking77(Path(sys.argv[1]) / "banking77")
    clinc150(Path(sys.argv[1]) / "clinc150")
