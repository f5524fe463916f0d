"""JSON Schemas served: how many, how fast, and whether the grammar tells valid instances from invalid ones.

    python benchmarks/structure.py schemas.jsonl.gz

Each line holds {"source", "file", "schema", "tests": [{"valid", "data"}]}, as JSONSchemaBench's. Sources that are tests
of single keywords (Synthesized, Handwritten) are counted apart. An object's properties are generated in the schema's
order, so an instance counts as accepted when the grammar accepts it with its properties in some order.
"""

import argparse
import gzip
import json
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from underdog.generate.structure import Checker, Structure, StructureError

KEYWORD_TESTS = ("Synthesized", "Handwritten")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--refused", action="store_true", help="List what was refused, and why.")
    parser.add_argument("--judge-every", type=int, default=1, help="Judge the instances of every n-th schema only.")
    options = parser.parse_args()
    with gzip.open(options.file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    counts: dict[str, Counter] = defaultdict(Counter)
    seconds, refused, wrong = [], [], []
    for number, row in enumerate(rows):
        count = counts["keyword tests" if row["source"] in KEYWORD_TESTS else "real-world"]
        count["schemas"] += 1
        start = time.perf_counter()
        try:
            structure = Structure.json_schema(row["schema"])
        except StructureError as problem:
            refused.append(f"{row['file']}: {problem}")
            count["refused without a field"] += problem.field is None
            continue
        seconds.append(time.perf_counter() - start)
        count["served"] += 1
        for test in row["tests"] if number % options.judge_every == 0 else ():
            count["instances"] += 1
            if verdict(structure, test["data"]) != test["valid"]:
                wrong.append(f"{row['file']}: {'valid' if test['valid'] else 'invalid'} is not seen as such")
    for group, count in counts.items():
        print(f"{group}: {count['served']} of {count['schemas']} schemas served "
              f"({count['served'] / count['schemas']:.1%}), {count['instances']} instances judged, "
              f"{count['refused without a field']} refused without naming a field")  # fmt: skip
    print(f"wrong verdicts: {len(wrong)}", *wrong, sep="\n  ")
    print(f"to check a schema: median {1000 * statistics.median(seconds):.1f} ms, most {1000 * max(seconds):.0f} ms")
    if options.refused:
        print(*refused, sep="\n")


def verdict(structure: Structure, instance: Any) -> bool:
    """Whether the grammar can generate the instance, its properties in some order."""
    if _after(Checker(structure.whole()), json.dumps(instance, ensure_ascii=False), complete=True):
        return True
    return (after := _written(Checker(structure.whole()), instance)) is not None and after.complete


def _written(checker: Checker, value: Any) -> Checker | None:
    """The checker after the value, in the first order of properties that it takes."""
    if isinstance(value, dict):
        return _object(_after(checker, "{"), value, list(value), set())
    if not isinstance(value, list):
        return _after(checker, json.dumps(value, ensure_ascii=False))
    at = _after(checker, "[")
    for index, item in enumerate(value):
        at = at and _after(at, ", " if index else "")
        at = at and _written(at, item)
    return at and _after(at, "]")


def _object(checker: Checker | None, value: dict[str, Any], left: list[str], possible: set[str]) -> Checker | None:
    """`possible`: the properties of `left` that could have come earlier. One that no longer can never will: the
    grammar's order has passed it."""
    if checker is None or not left:
        return checker and _after(checker, "}")
    separator = ", " if len(left) < len(value) else ""
    starts = {name: _after(checker, f"{separator}{json.dumps(name, ensure_ascii=False)}: ") for name in left}
    now = {name for name in left if starts[name]}
    if possible - now:
        return None
    for name in left:
        if name in now and (after := _written(starts[name], value[name])):
            others = [other for other in left if other != name]
            found = _object(after, value, others, now - {name})
            if found or all(_after(after, f", {json.dumps(other, ensure_ascii=False)}: ") for other in others):
                return found  # where all others may still come, their order does not matter
    return None


def _after(checker: Checker, text: str, complete: bool = False) -> Checker | None:
    copy = checker.copy()
    return copy if copy.take(text.encode()) and (copy.complete or not complete) else None


if __name__ == "__main__":
    main()
