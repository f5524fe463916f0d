"""Files that are there whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
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
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by the text in one step, safe against a kill at any moment.

    Names of files that are not UTF-8 come as lone surrogates; they are written as JSON spells them.
    """
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path, hint: str | None = None) -> Any:
    """The value in a JSON file; `hint` says what to do where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing.", hint=hint) from None
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}.", hint=hint) from None
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{path} is not valid JSON: {problem}.", hint=hint) from None


@contextlib.contextmanager
def commit_file(final: Path) -> Iterator[Path]:
    """A path to write to, which becomes `final` in one step when all went well; several may write the same file."""
    temporary = final.with_name(f"{final.name}.{secrets.token_hex(4)}.tmp")
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def commit_folder(draft: Path, final: Path) -> None:
    """Syncs every file of `draft` to disk and renames the folder, so that `final` is whole or absent."""
    for path in [*sorted(draft.rglob("*")), draft]:
        if not path.is_symlink():
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
    except UserError:
        raise
    except Exception as problem:
        if _is_full_disk(problem):
            raise UserError(
                f"The disk that holds {folder} is full.",
                hint="Free some space and run the same command again: it goes on where it stopped.",
            ) from problem
        if isinstance(problem, OSError) and problem.errno in _REFUSED:
            raise UserError(
                f"{problem.filename or folder}: {os.strerror(problem.errno).lower()}.",
                hint="Choose a folder that you may write to; for runs and their artifacts, --runs names it.",
            ) from problem
        raise


_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def _is_full_disk(problem: Exception) -> bool:
    """Also where a library has lost the error's number: those written in Rust put it into the text, and NumPy only
    says that it wrote less than it was given."""
    if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    says = str(problem)
    return f"(os error {errno.ENOSPC})" in says or (isinstance(problem, OSError) and says.endswith(" written"))
