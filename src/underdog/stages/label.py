"""Label: a strong model's scores, 0 to 9, for some documents of a curated corpus: what an annotator learns from."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from underdog.generate.options import Options
from underdog.generate.session import Model
from underdog.text.corpus import read_scored
from underdog.text.labels import Asked, label
from underdog.tokens.messages import Message

_MOST_TOKENS = 1_000  # of an answer; twenty scores need some two hundred


def label_corpus(
    corpus: Path,
    model: Model,
    path: Path,
    documents: int,
    budget: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Asked:
    """Has `documents` texts of a curated corpus labelled by `model`, and appends the labels to `path` (labels.py).

    `budget` is the most characters that are sent.
    """

    def ask(prompt: str, attempt: int) -> str:
        options = Options(temperature=0.0 if attempt == 0 else 0.7, seed=attempt, max_new_tokens=_MOST_TOKENS)
        deltas = model.reply([Message("user", prompt)], options)
        return "".join(delta.content for delta in deltas)

    return label(choose(read_scored(corpus), documents), ask, path, budget=budget, progress=progress)


def choose(scored: Iterable[tuple[str, str, float]], documents: int) -> list[str]:
    """Texts of (source, text, score), evenly from every source and every height of score."""
    rows: Sequence[tuple[str, str, float]] = sorted(scored, key=lambda row: (row[0], row[2], row[1]))
    count = min(documents, len(rows))
    return [rows[(2 * k + 1) * len(rows) // (2 * count)][1] for k in range(count)]
