"""The user's own text: folders, globs and files."""

import glob
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from underdog.errors import UserError
from underdog.text.document import Document, Reject, make_document, split_long

SUFFIXES = (".txt", ".md", ".rst", ".jsonl")

_READS = f"Curation reads {', '.join(SUFFIXES)}."


def find_files(entry: str) -> list[Path]:
    """The files that an entry of the recipe means, sorted; a folder is searched to its depth, hidden
    parts left out.

    Raises:
        UserError: nothing is there, or nothing that can be read.
    """
    path = Path(entry).expanduser()
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(f"curate.sources: {entry} is not a text file by its name.", hint=_READS)
        return [path]
    if path.is_dir():
        found = [file for file in path.rglob("*") if not _is_hidden(file.relative_to(path))]
    elif glob.has_magic(entry):
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]
    else:
        raise UserError(f"curate.sources: {entry} does not exist.", hint="Paths start at the current folder.")
    files = sorted(file for file in found if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise UserError(f"curate.sources: there is no text in {entry}.", hint=_READS)
    return files


def read_file(path: Path, source: str, reject: Callable[[Reject], None]) -> Iterator[Document]:
    """The documents of one file: a JSON Lines file has one a line ("text"), any other is one, split where
    it is long.

    Bad records go to `reject` and never stop the reading.
    """
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".jsonl":
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield from _record(line, path, number, source, reject)
            else:
                text = file.read().decode("utf-8-sig").replace("\r\n", "\n")
                pieces = list(split_long(text))
                for number, piece in enumerate(pieces, 1):
                    yield make_document(piece, source, f"{path} ({number})" if len(pieces) > 1 else str(path))
    except UnicodeDecodeError as problem:
        reject(Reject(str(path), None, f"not UTF-8 at byte {problem.start}"))
    except OSError as problem:
        reject(Reject(str(path), None, f"cannot be read: {problem.strerror}"))


def _record(line: bytes, path: Path, number: int, source: str, reject: Callable[[Reject], None]) -> Iterator[Document]:
    try:
        record = json.loads(line.decode("utf-8-sig"))
        text = record["text"]
        if not isinstance(text, str):
            raise TypeError
        yield make_document(text, source, f"{path}:{number}")
        return
    except UnicodeDecodeError as problem:
        reason = f"not UTF-8 at byte {problem.start}"
    except UnicodeEncodeError:
        reason = '"text" holds half a character (a lone surrogate)'
    except json.JSONDecodeError as problem:
        reason = f"not valid JSON: {problem.msg} at column {problem.colno}"
    except ValueError as problem:  # a number with thousands of digits
        reason = f"not valid JSON: {problem}"
    except RecursionError:
        reason = "nested too deeply"
    except KeyError:
        reason = '"text" is missing'
    except TypeError:
        reason = '"text" is not a string' if isinstance(record, dict) else "not a JSON object"
    reject(Reject(str(path), number, reason))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
