"""Files that are there whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from underdog.errors import UserError


def digest_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_json(value: Any) -> str:
    """SHA-256 of a JSON-able value; equal values give equal digests whatever their key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by the value in one step, safe against a kill at any moment."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise UserError(f"{path} is not valid JSON: {problem}.") from None


def commit_folder(draft: Path, final: Path) -> None:
    """Syncs every file of `draft` to disk and renames the folder, so that `final` is whole or absent."""
    for path in sorted(draft.rglob("*")):
        if path.is_file():
            sync(path)
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    sync(final.parent)


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns a full disk or a folder without permission into an error that says so."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"The disk that holds {folder} is full.",
                hint="Free some space and run the same command again: it goes on where it stopped.",
            ) from problem
        if problem.errno in (errno.EACCES, errno.EROFS):
            raise UserError(f"Cannot write to {problem.filename or folder}: {problem.strerror}.") from problem
        raise
