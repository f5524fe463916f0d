"""Spans from labelled texts: a linear-chain CRF over words and their shapes (CRFsuite). The floor that a language model
has to beat, as TF-IDF is for labels: fitted in minutes on one core, used in well under a millisecond a sentence.

Nested spans are taken apart into layers, outermost first, with a model for each. The models are CRFsuite's own files
and plain JSON: no pickles.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from underdog.errors import UserError, extra
from underdog.tasks.entities import Entity

ABOUT = "tagger.json"
WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
OUTSIDE = "O"


@dataclass(frozen=True)
class Labelled:
    """A text with its spans. `hints`: what is known of it beforehand, as words ("asked=time")."""

    text: str
    entities: Sequence[Entity]
    hints: Sequence[str] = field(default_factory=tuple)


class Tagger:
    """Finds spans; made by `fit`, kept in a folder."""

    def __init__(self, folder: Path):
        """Raises UserError: the folder holds no tagger."""
        try:
            self.layers: int = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["layers"]
            self._models = []
            for layer in range(self.layers):
                model = library().Tagger()
                model.open(str(folder / f"layer{layer}.crfsuite"))
                self._models.append(model)
        except (OSError, ValueError, KeyError) as problem:
            raise UserError(f"{folder} holds no tagger: {problem}.") from None

    def __call__(self, text: str, hints: Sequence[str] = ()) -> tuple[Entity, ...]:
        """In the order of the text; `text[start:end]` is the entity."""
        words = list(WORD.finditer(text))
        seen = features([word[0] for word in words], hints)
        found = {one for model in self._models for one in _spans(text, words, model.tag(seen))} if words else ()
        return tuple(sorted(found))


def fit(examples: Sequence[Labelled], folder: Path, layers: int = 1, iterations: int = 100) -> Tagger:
    """Fits a model for each layer (L-BFGS with L1 and L2) and writes them.

    Raises:
        UserError: there are no spans.
    """
    if not any(example.entities for example in examples):
        raise UserError("A tagger needs texts with spans.")
    folder.mkdir(parents=True, exist_ok=True)
    for layer in range(layers):
        trainer = library().Trainer(verbose=False)
        trainer.set_params({"c1": 0.05, "c2": 0.01, "max_iterations": iterations, "feature.possible_transitions": True})
        for example in examples:
            words = list(WORD.finditer(example.text))
            if words:
                marks = _marks(words, layered(example.entities, layers)[layer])
                trainer.append(features([word[0] for word in words], example.hints), marks)
        trainer.train(str(folder / f"layer{layer}.crfsuite"))
    (folder / ABOUT).write_text(json.dumps({"layers": layers}), encoding="utf-8")
    return Tagger(folder)


def exact_f1(found: Sequence[Sequence[Entity]], examples: Sequence[Labelled]) -> tuple[float, float, float]:
    """F1, precision and recall over all spans: start, end and type must be right."""
    right = said = wanted = 0
    for ours, example in zip(found, examples, strict=True):
        right += len({*ours} & {*example.entities})
        said, wanted = said + len({*ours}), wanted + len({*example.entities})
    precision, recall = right / max(1, said), right / max(1, wanted)
    return 2 * right / max(1, said + wanted), precision, recall


def layered(entities: Iterable[Entity], count: int) -> list[list[Entity]]:
    """Spans that do not overlap in each layer, the longest first; what fits into none is left out."""
    layers: list[list[Entity]] = [[] for _ in range(count)]
    for one in sorted(entities, key=lambda entity: (entity.start - entity.end, entity)):
        for layer in layers:
            if all(one.end <= other.start or other.end <= one.start for other in layer):
                layer.append(one)
                break
    return layers


def features(words: Sequence[str], hints: Sequence[str] = ()) -> list[list[str]]:
    """What a model sees of each word: itself and its neighbours, with their beginnings, endings and shapes."""
    own = [_own(word) for word in words]
    return [[*own[i], *_around(own, i), *hints, *(f"{hint}|{own[i][0]}" for hint in hints)] for i in range(len(words))]


def _own(word: str) -> list[str]:
    low = word.lower()
    shape = re.sub(r"\d", "0", re.sub(r"[^\W\d_]", lambda found: "X" if found[0].isupper() else "x", word))
    ends = [f"-{size}={low[-size:]}" for size in (1, 2, 3, 4)] + [f"+{size}={low[:size]}" for size in (1, 2, 3, 4)]
    return [f"w={low}", f"s={''.join(next(run) for _, run in groupby(shape))}", f"S={shape[:6]}", *ends]


def _around(own: Sequence[Sequence[str]], i: int) -> Iterator[str]:
    for step in (-2, -1, 1, 2):
        if 0 <= i + step < len(own):
            kept = own[i + step][: 2 if abs(step) == 2 else 6]
            yield from (f"{step}:{one}" for one in kept)
        else:
            yield f"{step}:edge"
    if i:
        yield f"-1,0:{own[i - 1][0]},{own[i][0]}"
    if i + 1 < len(own):
        yield f"0,1:{own[i][0]},{own[i + 1][0]}"


def _marks(words: Sequence[re.Match[str]], spans: Sequence[Entity]) -> list[str]:
    marks = [OUTSIDE] * len(words)
    for one in spans:
        inside = [i for i, word in enumerate(words) if word.start() < one.end and one.start < word.end()]
        for i in inside:
            marks[i] = f"{'B' if i == inside[0] else 'I'}-{one.type}"
    return marks


def _spans(text: str, words: Sequence[re.Match[str]], marks: Sequence[str]) -> Iterator[Entity]:
    first = 0
    for i, mark in enumerate(marks):
        if mark == OUTSIDE:
            continue
        if mark.startswith("B-") or i == 0 or marks[i - 1][2:] != mark[2:]:
            first = i
        if i + 1 == len(marks) or marks[i + 1] != f"I-{mark[2:]}":
            start, end = words[first].start(), words[i].end()
            yield Entity(start, end, mark[2:], text[start:end])


def library() -> Any:
    with extra("tag", "A tagger"):
        import pycrfsuite
    return pycrfsuite
