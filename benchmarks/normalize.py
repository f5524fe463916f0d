"""How much of what people write the rules of `underdog normalize` read: the labelled spans of restaurant8k (test) and
NEREL (dev), each as its kind. "Open" are those with several readings. That a reading is the right one, the golden
values of tests/tasks/normalize show, not this.

    python benchmarks/normalize.py DATA
"""

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from spans import nerel, restaurant8k

from underdog.tasks.dialog.script import Slot
from underdog.tasks.dialog.values import readings
from underdog.tasks.normalize.normalizer import VALUES
from underdog.tasks.normalize.place import Place

KINDS = {
    "restaurant8k": {"people": "integer", "time": "time", "date": "date", "first_name": "name", "last_name": "name"},
    "NEREL": {"DATE": "date", "TIME": "time", "MONEY": "amount", "PERSON": "name"},
}
PLACES = {"restaurant8k": ("en", "GB"), "NEREL": ("ru", "RU")}


def read(kind: str, text: str, place: Place) -> Sequence[str]:
    if kind == "integer":
        return readings(Slot(kind=kind, ask="?"), text, place)
    return VALUES[kind].read(text, place)


def main(data: Path) -> None:
    for name, (_, test, _) in (("restaurant8k", restaurant8k(data)), ("NEREL", nerel(data))):
        language, region = PLACES[name]
        place = Place((language,), region, datetime(2018, 7, 1))
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        missed: dict[str, list[str]] = defaultdict(list)
        start = time.process_time()
        for span in (span for example in test for span in example.entities if span.type in KINDS[name]):
            kind = KINDS[name][span.type]
            found = len(read(kind, span.text, place))
            counts[kind][min(found, 2)] += 1
            if not found and len(missed[kind]) < 5 and span.text not in missed[kind]:
                missed[kind].append(span.text)
        spent = time.process_time() - start
        total = sum(map(sum, counts.values()))
        print(f"{name}: {total} spans, {1000 * spent / total:.1f} ms of CPU a span")
        for kind, (none, one, several) in counts.items():
            share = one / (none + one + several)
            print(f"  {kind}: {share:.1%} of {none + one + several} read, {several} open; not read: {missed[kind]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
