"""Labels of 0 to 9 for the annotator: read from a file, or asked of a strong model one document at a time.

What was asked is appended to the file at once, so that a run that is stopped goes on where it was and nothing is paid
for twice.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from underdog.errors import UserError, did_you_mean
from underdog.text.scores import HIGHEST
from underdog.text.signals import SIGNALS

Ask = Callable[[str, int], str]
"""A prompt and the number of the try (from 0) to the model's words."""

_PIECE = 2_000  # characters of the beginning, the middle and the end that the model is shown
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


@dataclass(frozen=True)
class Label:
    text: str
    scores: Mapping[str, int]  # signal → 0..9


@dataclass(frozen=True)
class Asked:
    """What came of asking."""

    labelled: int  # now
    known: int  # labelled before
    failed: int  # no JSON of scores after every try
    characters: int  # sent


def read_labels(path: Path) -> list[Label]:
    """Reads JSON Lines of {"text": …, "scores": {signal: 0–9}}.

    Raises:
        UserError: the file is not there, or a line is wrong: its number and what.
    """
    return [Label(row["text"], row["scores"]) for row in _rows(path)]


def label(
    texts: Sequence[str],
    ask: Ask,
    path: Path,
    *,
    signals: Sequence[str] = tuple(SIGNALS),
    tries: int = 3,
    budget: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Asked:
    """Has every text labelled that `path` does not hold yet, and appends what comes of it.

    A try whose answer is no JSON object of scores is asked again; after `tries` the text is left out and counted. When
    `budget` characters have been sent, the rest stays unlabelled.

    Raises:
        UserError: `ask` raised it `tries` times for one text. What was labelled so far is in the file.
    """
    known = {_key(row["text"]) for row in _rows(path)} if path.exists() else set()
    todo = [text for text in dict.fromkeys(texts) if _key(text) not in known]
    labelled = failed = sent = 0
    with _opened(path) as file:
        for number, text in enumerate(todo):
            prompt = label_prompt(text, signals)
            scores = None
            for attempt in range(tries):
                if budget is not None and sent + len(prompt) > budget:
                    return Asked(labelled, len(known), failed, sent)
                sent += len(prompt)
                try:
                    answer = ask(prompt, attempt)
                except UserError:  # the server: it may have been a moment's trouble
                    if attempt + 1 == tries:
                        raise
                    continue
                if scores := parse_scores(answer, signals):
                    break
            if scores is None:
                failed += 1
            else:
                file.write(json.dumps({"text": text, "scores": scores}, ensure_ascii=False) + "\n")
                file.flush()
                labelled += 1
            progress(number + 1, len(todo))
    return Asked(labelled, len(known), failed, sent)


def label_prompt(text: str, signals: Sequence[str]) -> str:
    """Asks for all scores at once. Of a long text its beginning, middle and end are shown."""
    middle = (len(text) - _PIECE) // 2
    shown = text if len(text) <= 3 * _PIECE else "\n[…]\n".join(
        (text[:_PIECE], text[middle : middle + _PIECE], text[-_PIECE:])
    )  # fmt: skip
    aspects = "\n".join(f"- {name}: {SIGNALS[name].description.split('. ')[0]}" for name in signals)
    return f"""\
Rate the document for the training of a language model. For each aspect give a whole number from 0 (none, or bad)
to 9 (among the best there is); judge by the content, not by the topic. Answer with one JSON object that has exactly
these keys, and nothing else.

Aspects:
{aspects}

Document:
<document>
{shown}
</document>

JSON:"""


def parse_scores(answer: str, signals: Sequence[str]) -> dict[str, int] | None:
    """The scores in an answer, or None if it has no JSON object with every signal as a whole number 0–9."""
    found = _OBJECT.search(answer)
    try:
        given = json.loads(found[0]) if found else None
    except ValueError:
        return None
    if not isinstance(given, dict):
        return None
    scores = {name: given.get(name) for name in signals}
    return scores if all(_is_score(value) for value in scores.values()) else None


def _is_score(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= HIGHEST


def _opened(path: Path) -> IO[str]:
    """The file of labels, to append lines to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
        file = path.open("a", encoding="utf-8", newline="\n")
    except OSError as problem:
        raise UserError(f"{path} cannot be written: {problem.strerror}.", hint="Name another file: --out.") from None
    if torn:
        file.write("\n")
    return file


def _rows(path: Path) -> Iterator[dict]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: JSON strings may hold U+2028
    except UnicodeDecodeError as problem:
        raise UserError(f"{path} is not UTF-8 (byte {problem.start}).", hint="Save it as UTF-8.") from None
    except OSError as problem:
        raise UserError(
            f"{path}: {problem.strerror}.", hint="curate.labels names a JSON Lines file of labels."
        ) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text, scores = row["text"], row["scores"]
            well = isinstance(text, str) and isinstance(scores, dict) and scores
        except (ValueError, KeyError, TypeError):
            well = False
        if not well:
            raise UserError(
                f"{path} line {number}: not a label.", hint='Each line is {"text": "…", "scores": {"fluency": 7, …}}.'
            )
        for name, value in scores.items():
            if name not in SIGNALS:
                raise UserError(f'{path} line {number}: unknown signal "{name}".', hint=did_you_mean(name, SIGNALS))
            if not _is_score(value):
                raise UserError(f"{path} line {number}: {name} is {value!r}, not a whole number from 0 to 9.")
        yield row


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
