"""The published rules against datatrove's FineWeb chain: the same decisions, and how many times as fast.

    python benchmarks/curate_corpus.py corpus.jsonl --megabytes 50
    python benchmarks/curate_rules.py corpus.jsonl --datatrove DATATROVE_PYTHON [--documents 500] [--rounds 3]

Both sides read the same documents in turn, in one process each; CPU seconds, without what is loaded once. Ours computes
all twenty signals in the same pass. `--documents` bounds datatrove's share of the waiting; our speed on the whole file
is printed, too.
"""

import argparse
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from underdog.text.kernels.count import count
from underdog.text.rules import choose_rules, first_broken
from underdog.text.signals import SIGNALS

CHAIN = choose_rules(("gopher", "c4", "fineweb"), {})


def ours(texts: list[str]) -> tuple[float, list[str | None]]:
    array = pa.array(texts, pa.large_string())
    start = time.process_time()
    counts = count(array)
    for signal in SIGNALS.values():
        signal.measure(counts)
    reasons = first_broken(counts, np.ones(len(texts), bool), CHAIN)
    return time.process_time() - start, reasons


def theirs(texts: list[str], python: str) -> tuple[float, list[str | None]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.jsonl")
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        script = Path(__file__).with_name("datatrove_rules.py")
        done = subprocess.run([python, str(script), str(path)], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    return said["seconds"], said["reasons"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--datatrove", metavar="PYTHON")
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = [json.loads(line)["text"] for line in options.corpus.open(encoding="utf-8")]
    ours(texts[:2])  # machine code, tables

    size = sum(len(text.encode()) for text in texts) / 1e6
    speeds = [size / ours(texts)[0] for _ in range(options.rounds)]
    print(f"ours: {len(texts):,} documents, {size:.1f} MB, {statistics.median(speeds):.1f} MB a CPU-second")
    if not options.datatrove:
        return

    some = random.Random(1).sample(texts, min(options.documents, len(texts)))
    size = sum(len(text.encode()) for text in some) / 1e6
    ratios = []
    for _ in range(options.rounds):
        mine, found = ours(some)
        other, expected = theirs(some, options.datatrove)
        ratios.append(other / mine)
        print(f"  {size:.2f} MB: ours {mine:.3f} s, datatrove {other:.2f} s, ratio {other / mine:.0f}")
    print(f"ratio, median of {options.rounds}: {statistics.median(ratios):.0f}")

    same = [(a is None) == (b is None) for a, b in zip(found, expected, strict=True)]
    kept = sum(reason is None for reason in expected)
    print(f"decisions: {sum(same)} of {len(some)} equal ({100 * np.mean(same):.1f} %); datatrove keeps {kept}")
    differing = Counter((a, b) for a, b, equal in zip(found, expected, same, strict=True) if not equal)
    for (a, b), times in differing.most_common():
        print(f"  {times:3d}  ours {a or 'keeps'}, datatrove {b or 'keeps'}")


if __name__ == "__main__":
    main()
