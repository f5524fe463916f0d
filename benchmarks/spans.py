"""Spans from labelled texts: the CRF of `underdog tag` on restaurant8k, WNUT17 and NEREL; or a model without any
examples on a sample of them.

    python benchmarks/spans.py DATA [--only restaurant8k wnut17 nerel] [--model FILE.gguf --sample 100]

Exact F1: start, end and type must be right; micro average. restaurant8k: train_0.json (or train_4.json, a sixteenth) ->
test.json, the slot that was asked for as a hint. WNUT17: train -> emerging.test.annotated, its tokens joined by spaces.
NEREL: train -> dev, 29 types, nested spans in three layers.
"""

import argparse
import io
import json
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from underdog.tasks.entities import Entity, EntityFinder
from underdog.tasks.tagger import Labelled, exact_f1, fit

Split = tuple[list[Labelled], list[Labelled], int]  # train, test, layers


def restaurant8k(data: Path, train: str = "train_0.json") -> Split:
    return *(list(_turns(data / "restaurant8k" / name)) for name in (train, "test.json")), 1


def _turns(path: Path) -> Iterator[Labelled]:
    for turn in json.loads(path.read_text(encoding="utf-8")):
        text = turn["userInput"]["text"]
        spans = [(one["slot"], one.get("valueSpan", {})) for one in turn.get("labels", ())]
        entities = [_entity(text, span.get("startIndex", 0), span["endIndex"], slot) for slot, span in spans if span]
        asked = turn.get("context", {}).get("requestedSlots", ())
        yield Labelled(text, entities, [f"asked={slot}" for slot in asked])


def wnut17(data: Path) -> Split:
    return *(list(_tweets(data / "wnut17" / name)) for name in ("wnut17train.conll", "emerging.test.annotated")), 1


def _tweets(path: Path) -> Iterator[Labelled]:
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        rows = [line.split("\t") for line in block.splitlines() if "\t" in line]
        text, spans = "", []
        for word, mark in ((row[0], row[1].strip()) for row in rows):
            start = len(text) + bool(text)
            text = f"{text} {word}" if text else word
            if mark.startswith("I-") and spans and spans[-1][2] == mark[2:]:
                spans[-1][1] = len(text)
            elif mark != "O":
                spans.append([start, len(text), mark[2:]])
        if rows:
            yield Labelled(text, [_entity(text, *span) for span in spans])


def nerel(data: Path) -> Split:
    with tarfile.open(data / "nerel" / "nerel-train-dev.tar.gz") as archive:
        files = {one.name: archive.extractfile(one).read().decode() for one in archive if one.isfile()}
    return *(list(_documents(files, part)) for part in ("/train/", "/dev/")), 3


def _documents(files: dict[str, str], part: str) -> Iterator[Labelled]:
    """A paragraph is an example."""
    for name in sorted(name for name in files if part in name and name.endswith(".txt")):
        text = files[name]
        spans = []
        for line in io.StringIO(files[name.removesuffix("txt") + "ann"]):
            if line.startswith("T"):
                kind, start, *_, end = line.split("\t")[1].replace(";", " ").split()
                spans.append((int(start), int(end), kind))
        begin = 0
        for paragraph in text.split("\n"):
            end = begin + len(paragraph)
            inside = [(s - begin, e - begin, kind) for s, e, kind in spans if begin <= s and e <= end]
            if paragraph.strip():
                yield Labelled(paragraph, [_entity(paragraph, *span) for span in inside])
            begin = end + 1


def _entity(text: str, start: int, end: int, kind: str) -> Entity:
    return Entity(start, end, kind, text[start:end])


def fitted(name: str, split: Split, iterations: int) -> None:
    train, test, layers = split
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        tagger = fit(train, Path(folder), layers, iterations)
        fitting = time.process_time() - start
        start = time.process_time()
        found = [tagger(example.text, example.hints) for example in test]
        each = 1000 * (time.process_time() - start) / len(test)
    print(
        f"{name}: {score(found, test)}; fitted on {len(train)} in {fitting:.0f} CPU s, {each:.2f} ms a text", flush=True
    )


def zero_shot(name: str, split: Split, model: Path, sample: int) -> None:
    from underdog.generate.open import open_model

    test = split[1][:: max(1, len(split[1]) // sample)][:sample]
    kinds = sorted({one.type for example in split[1] for one in example.entities})
    opened = open_model(model)
    finder = EntityFinder(opened, dict.fromkeys(kinds, ""), most=10)
    start = time.monotonic()
    found = [finder(example.text).entities for example in test]
    each = (time.monotonic() - start) / len(test)
    print(f"{name}: {model.stem} without examples: {score(found, test)}; {each:.1f} s a text", flush=True)


def score(found: Sequence[Sequence[Entity]], test: Sequence[Labelled]) -> str:
    f1, precision, recall = exact_f1(found, test)
    return f"F1 {f1:.1%} (precision {precision:.1%}, recall {recall:.1%}) on {len(test)} texts"


SETS: dict[str, Callable[[Path], Split]] = {
    "restaurant8k": restaurant8k,
    "restaurant8k (a sixteenth)": lambda data: restaurant8k(data, "train_4.json"),
    "wnut17": wnut17,
    "nerel": nerel,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--sample", type=int, default=100)
    args = parser.parse_args()
    for name in args.only:
        split = SETS[name](args.data)
        if args.model:
            zero_shot(name, split, args.model, args.sample)
        else:
            fitted(name, split, args.iterations)
