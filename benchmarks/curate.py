"""How fast curation is, what it needs, and how well it finds near-duplicates.

    python benchmarks/curate_corpus.py corpus.jsonl                  # 50 MB of this machine's real text
    python benchmarks/curate.py corpus.jsonl path                    # MB/s of the whole path on one core and on two
    python benchmarks/curate.py corpus.jsonl duplicates --datatrove PYTHON
    python benchmarks/curate.py corpus.jsonl memory                  # peak of all processes; for a corpus of any size

Times are of the processor (user and system, of all processes) where a rate is "a core", of the clock where two cores
are compared; medians, the sides in turn. PYTHON is that of an environment with datatrove[processing] and spaCy. Both
look for near-duplicates in the same documents, the first of the corpus (--compare says how many MB); they have them in
memory and their code loaded when the time starts, which ends when they know what stays.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, islice
from pathlib import Path
from statistics import median
from typing import Any

from processes import watch

from underdog.lanes import cores

KEEP = {"medium": 0.3, "high": 0.25, "top": 0.15}
THRESHOLD = 0.7
HELD_OUT = 500  # pieces of the corpus that stand for an evaluation set
PAIRS = 600


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.open(encoding="utf-8")]


def curate_once(
    corpus: Path, cores: int = 1, *, tokenizer: Path | None = None, watched: bool = False
) -> dict[str, Any]:
    """In a process of its own: seconds of the clock and of all processors; watched, the peak of all memory."""
    asked = [sys.executable, __file__, str(corpus), "once", "--cores", str(cores)]
    if tokenizer:
        asked += ["--tokenizer", str(tokenizer)]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as process:
        peak = watch(process) if watched else [0.0]
        printed = process.communicate()[0]
    if process.returncode:
        sys.exit(process.returncode)
    return json.loads(printed.splitlines()[-1]) | {"peak": peak[0]}


def once(corpus: Path, cores: int, tokenizer: Path | None) -> None:
    """Curates, and makes token shards if there is a tokenizer; prints what it took."""
    from underdog.artifacts.store import Draft
    from underdog.recipe.schema import Curate
    from underdog.stages.curate import curate

    with corpus.open(encoding="utf-8") as file:
        parts = [json.loads(line)["text"][:400] for line in islice(file, HELD_OUT * 3)][::3]
    held_out = {f"item-{number}": part for number, part in enumerate(parts)}
    folder = Path(tempfile.mkdtemp(dir=corpus.parent))
    try:
        start = time.monotonic()
        out = Draft(folder)
        curate(Curate(sources=[str(corpus)], keep=KEEP, near_duplicates=THRESHOLD), held_out, out, cores)
        if tokenizer:
            _tokenize(folder, tokenizer)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        seconds = sum(part.ru_utime + part.ru_stime for part in used)
        print(json.dumps({"wall": time.monotonic() - start, "cpu": seconds, "funnel": out.metrics["funnel"]}))
    finally:
        shutil.rmtree(folder)


def _tokenize(folder: Path, tokenizer_folder: Path) -> None:
    """Shards of ids of what was kept."""
    from underdog.text.corpus import read_tier
    from underdog.tokens.shards import write_shard
    from underdog.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(tokenizer_folder)
    for tier in KEEP:
        kept = [document.text for document in read_tier(folder, tier)]
        ids = ([*found, tokenizer.end_of_text] for found in tokenizer.encode_many(kept))
        write_shard(folder, tier, ids, vocabulary=tokenizer.vocabulary, tokenizer=tokenizer.fingerprint)


def train_tokenizer(corpus: Path, folder: Path) -> None:
    from underdog.tokens.tokenizer import Tokenizer

    Tokenizer.train(texts(corpus)[:300], 4096, "qwen2").save(folder, context=0)


def two_copies(corpus: Path) -> float:
    """Seconds of the clock until two runs on one core each, begun together, have ended."""
    with ThreadPoolExecutor(2) as threads:
        return max(taken["wall"] for taken in threads.map(curate_once, [corpus] * 2))


def path(corpus: Path, rounds: int) -> None:
    size = corpus.stat().st_size / 1e6
    curate_once(corpus)  # compiled code and files are warm from here on
    one, two, shards, copies = [], [], [], []
    with tempfile.TemporaryDirectory() as tokenizer:
        train_tokenizer(corpus, Path(tokenizer))
        for _ in range(rounds):
            one.append(curate_once(corpus))
            two.append(curate_once(corpus, 2))
            copies.append(two_copies(corpus))
            shards.append(curate_once(corpus, tokenizer=Path(tokenizer)))
    print(f"whole path, {size:.0f} MB: {size / median(r['cpu'] for r in one):.2f} MB/s a core (bar 4)")
    print(f"  with token shards: {size / median(r['cpu'] for r in shards):.2f} MB/s a core (bar 2.5)")
    gain = median(a["wall"] / b["wall"] for a, b in zip(one, two, strict=True))
    most = median(2 * a["wall"] / both for a, both in zip(one, copies, strict=True))
    walls = f"{median(r['wall'] for r in one):.1f} s, {median(r['wall'] for r in two):.1f} s"
    print(f"  two cores against one, by the clock: {gain:.2f}× (bar 1.7): {walls}")
    print(f"  two runs of one core each at once do {most:.2f} times the work of one: what this machine gives")
    print(f"  load of the machine {os.getloadavg()[0]:.1f}, {cores()} cores")


def memory(corpus: Path) -> None:
    taken = curate_once(corpus, 2, watched=True)
    size = corpus.stat().st_size / 1e6
    documents = taken["funnel"][0]["documents"]
    print(
        f"{size:,.0f} MB, {documents:,} documents: peak of all processes {taken['peak']:,.0f} MiB (bar 2,048 for 2 GB)"
    )


def planted(corpus: Path) -> tuple[list[str], list[bool]]:
    """Texts in pairs: an original, and a copy with some words changed; and whether the copy is a near-duplicate."""
    draw = random.Random(1)
    originals = [text[:4000] for text in texts(corpus) if len(text.split()) > 150]
    draw.shuffle(originals)
    pool = [word for text in originals[:200] for word in text.split()]
    made, truth, sets = [], [], []
    for original in originals:
        own = _shingles(original)
        if any(_jaccard(own, other) > 0.2 for other in sets):
            continue
        words = original.split(" ")
        for place in draw.sample(range(len(words)), int(len(words) * draw.choice((0.01, 0.02, 0.08, 0.12, 0.2)))):
            words[place] = draw.choice(pool)
        likeness = _jaccard(own, _shingles(" ".join(words)))
        if THRESHOLD - 0.1 < likeness < THRESHOLD + 0.05:
            continue  # at the threshold itself the two sides' definitions of a word decide
        sets.append(own)
        made += [original, " ".join(words)]
        truth.append(likeness >= THRESHOLD)
        if len(truth) == PAIRS:
            break
    return made, truth


def _shingles(text: str) -> set[tuple[str, ...]]:
    import re

    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


def _jaccard(a: set, b: set) -> float:
    return len(a & b) / max(1, len(a | b))


def ours(found: list[str]) -> tuple[float, list[int]]:
    """Seconds of the processor, and which stay."""
    import pyarrow as pa

    from underdog.text.duplicates import alike, band_keys, near_duplicates
    from underdog.text.kernels.tokens import hash_tokens

    array = pa.array(found, pa.large_string())
    start = time.process_time()
    keys = band_keys(hash_tokens(array), THRESHOLD)
    near = alike(keys)
    like = near_duplicates(keys[near], [array.take(pa.array(near))], THRESHOLD)
    gone = {int(place) for place, kept in zip(near, like, strict=True) if kept is not None}
    return time.process_time() - start, [number for number in range(len(found)) if number not in gone]


def theirs(found: list[str], python: str) -> tuple[float, list[int]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.jsonl")
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in found))
        script = Path(__file__).with_name("datatrove_minhash.py")
        done = subprocess.run([python, script, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        printed = json.loads(done.stdout.splitlines()[-1])
        return printed["seconds"], printed["kept"]


def quality(kept: list[int], truth: list[bool]) -> str:
    gone = set(range(2 * len(truth))) - set(kept)
    right = sum(2 * pair + 1 in gone or 2 * pair in gone for pair, same in enumerate(truth) if same)
    return f"recall {right / sum(truth):.1%}, precision {right / max(1, len(gone)):.1%}"


def first(found: list[str], megabytes: float) -> list[str]:
    """The first texts, up to a size."""
    sizes = accumulate(len(text.encode()) for text in found)
    return [text for text, size in zip(found, sizes, strict=True) if size <= megabytes * 1e6]


def megabytes(found: list[str]) -> float:
    return sum(len(text.encode()) for text in found) / 1e6


def duplicates(corpus: Path, python: str | None, rounds: int, compare: float) -> None:
    made, truth = planted(corpus)
    everything = texts(corpus)
    part = first(everything, compare)
    ours(everything[:100])  # compiled
    whole, ours_of_part, theirs_of_part = [], [], []
    for _ in range(rounds):
        whole.append(ours(everything)[0])
        if python:
            ours_of_part.append(ours(part)[0])
            theirs_of_part.append(theirs(part, python)[0])
    print(f"near-duplicates, {megabytes(everything):.0f} MB: {megabytes(everything) / median(whole):.1f} MB/s a core")
    print(f"  {sum(truth)} planted among {len(truth)} pairs: {quality(ours(made)[1], truth)} (bars 98 %, 95 %)")
    if python:
        print(f"  datatrove: {quality(theirs(made, python)[1], truth)}")
        print(versus(part, median(ours_of_part), median(theirs_of_part)))


def versus(part: list[str], ours: float, theirs: float) -> str:
    """Both sides' seconds for the same documents."""
    size = megabytes(part)
    return (
        f"  the same {len(part):,} documents, {size:.1f} MB: "
        f"ours {size / ours:.1f} MB/s, datatrove {size / theirs:.3f}; {theirs / ours:.0f} times as fast (bar 75)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("what", choices=["path", "duplicates", "memory", "once"])
    parser.add_argument("--datatrove", metavar="PYTHON")
    parser.add_argument("--compare", type=float, default=10, metavar="MB", help="of the corpus, for both sides")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--tokenizer", type=Path, help="once: its folder; makes token shards, too")
    asked = parser.parse_args()
    match asked.what:
        case "path":
            path(asked.corpus, asked.rounds)
        case "duplicates":
            duplicates(asked.corpus, asked.datatrove, asked.rounds, asked.compare)
        case "memory":
            memory(asked.corpus)
        case "once":
            once(asked.corpus, asked.cores, asked.tokenizer)


if __name__ == "__main__":
    main()
