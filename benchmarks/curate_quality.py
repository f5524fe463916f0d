"""Whether the score tells good text from bad: the area under the ROC curve on a mixed corpus with known parts.

    python benchmarks/curate_quality.py [--documents 1000]

Two judges: the default one, whose weights were last changed after a look at this corpus; and one whose columns an
annotator fills, learned from the odd documents of every kind (`labels`: 8 for good, 1 for bad, in all twenty, which is
what `underdog curate label` asks for) and measured, like the first, on the even ones.

Good: documentation of the installed Python packages. Bad, each kind made from it or read beside it: words in another
order, letters in another order, licences and change logs, tables and generated code, text of a word model, translated
messages of the installed programs (dropped by `languages = ["en"]`, which counts as the lowest score).
"""

import argparse
import gettext
import json
import random
import tempfile
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from underdog.recipe.schema import Curate
from underdog.text.judge import Judge
from underdog.text.python_corpus import package_docs, python_docs, python_rest
from underdog.text.readers.formats import read_span
from underdog.text.signals import SIGNALS

SHORTEST = 400  # characters
CODE_LIKE = ("LICEN", "COPYING", "NOTICE", "AUTHORS", "NEWS", "ChangeLog", "HISTORY", "TODO")


def documents(source) -> list:
    return [found for span in source() for found in read_span(span) if len(getattr(found, "text", "")) >= SHORTEST]


def word_model(texts: list[str], draw: random.Random) -> list[str]:
    """Texts in which each word follows the one before as somewhere in `texts`: locally right, without sense."""
    after: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        words = text.split()
        for one, two in pairwise(words):
            after[one].append(two)
    found = []
    for text in texts:
        word, said = text.split()[0], []
        for _ in range(len(text.split())):
            said.append(word)
            word = draw.choice(after.get(word) or list(after))
        found.append(" ".join(said))
    return found


def shuffled(text: str, draw: random.Random) -> str:
    """The same lines lengths, the words in another order."""
    words = iter(draw.sample(words := text.split(), len(words)))
    return "\n".join(" ".join(next(words) for _ in line.split()) for line in text.split("\n"))


def spoilt(text: str, draw: random.Random) -> str:
    """The letters of every word in another order."""
    return "\n".join(" ".join("".join(draw.sample(w, len(w))) for w in line.split()) for line in text.split("\n"))


def translations(count: int, draw: random.Random) -> list[str]:
    found = []
    for path in sorted(Path("/usr/share/locale").glob("[d-z][a-z]/LC_MESSAGES/*.mo")):
        if path.parts[4] != "en" and len(found) < 4 * count:
            try:
                with path.open("rb") as file:
                    said = [text for text in gettext.GNUTranslations(file)._catalog.values() if isinstance(text, str)]
            except (UnicodeDecodeError, IndexError, OSError):  # catalogues of other makes
                continue
            text = "\n\n".join(said[1:])[:3000]
            found += [text] * (len(text) >= SHORTEST)
    return draw.sample(found, min(count, len(found)))


def auroc(good: np.ndarray, bad: np.ndarray) -> float:
    return float(((good[:, None] > bad) + 0.5 * (good[:, None] == bad)).mean())


def quality(judge: Judge, texts: list[str]) -> np.ndarray:
    columns = judge.measure(texts)
    score = judge.score(columns).quality
    score[[rule is not None for rule in columns["rule"].to_pylist()]] = -1.0
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1000, help="of each bad kind, at most")
    count = parser.parse_args().documents
    draw = random.Random(1)
    good = [found.text for found in draw.sample(documents(python_docs) + documents(package_docs), 3 * count)]
    rest = documents(python_rest)
    legal = [found.text for found in rest if any(word in found.origin for word in CODE_LIKE)]
    tables = [found.text for found in rest if "encodings/" in found.origin or "entities" in found.origin]
    some = good[:count]
    bad = {
        "words in another order": [shuffled(text, draw) for text in some],
        "letters in another order": [spoilt(text, draw) for text in some],
        "a word model's": word_model(some, draw),
        "licences and change logs": draw.sample(legal, min(count, len(legal))),
        "tables and generated code": draw.sample(tables, min(count, len(tables))),
        "another language": translations(count, draw),
    }
    texts = good + [text for part in bad.values() for text in part]
    kinds = ["good"] * len(good) + [kind for kind, part in bad.items() for _ in part]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "labels.jsonl")
        with path.open("w", encoding="utf-8") as file:
            for text, kind in list(zip(texts, kinds, strict=True))[1::2]:
                scores = dict.fromkeys(SIGNALS, 8 if kind == "good" else 1)
                file.write(json.dumps({"text": text, "scores": scores}) + "\n")
        judges = {"counted": Judge(Curate(languages=["en"], groups=[]))}
        judges["annotated"] = Judge(Curate(languages=["en"], groups=[], labels=str(path)))
    score = {name: quality(judge, texts[::2]) for name, judge in judges.items()}

    names = np.array(kinds[::2])
    good_ones = names == "good"
    print(f"{len(texts) // 2:,} labels; AUROC of {good_ones.sum():,} good documents {' and '.join(score)}, against")
    for kind in bad:
        if count := (names == kind).sum():
            print("  ", *(f"{auroc(s[good_ones], s[names == kind]):.3f}" for s in score.values()), f" {kind} ({count})")
    print("  ", *(f"{auroc(s[good_ones], s[~good_ones]):.3f}" for s in score.values()), " all of them")


if __name__ == "__main__":
    main()
