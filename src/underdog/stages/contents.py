"""What the user's files are like now: part of the keys of stages, so that changed files are read anew."""

import platform
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Any

from underdog.artifacts.runs import model_folder
from underdog.errors import UserError
from underdog.recipe.synthesis import BASE, OWN
from underdog.recipe.teaching import OURS


def fingerprint(sources: Sequence[str]) -> list[Any]:
    """Name, size and time of each file. Built-in corpora hang on Python."""
    found: list[Any] = []
    for source in sources:
        path = Path(source).expanduser()
        paths = [str(path)] if path.exists() else sorted(glob(str(path), recursive=True))
        folders = [path for path in map(Path, paths) if path.is_dir()]
        files = [*map(Path, paths), *(file for folder in folders for file in sorted(folder.rglob("*")))]
        found += [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]
    return [*found, platform.python_version()]


def file_sources(data: Sequence[str]) -> list[str]:
    """Of what SFT reads, the user's files."""
    return [source for source in data if source not in OURS]


def model_files(names: Sequence[str]) -> list[str]:
    """Of models that settings name, the files: their folders or themselves, those of runs as they are now.

    Raises:
        UserError: there is no such thing: better now than after an hour of training.
    """
    paths = [Path(name).expanduser() for name in names if name not in (BASE, OWN) and "://" not in name]
    for path in paths:
        if not path.exists():
            raise UserError(f"There is no model {path}.", hint="A run, a folder, a .gguf file or http://host/v1#model.")
    return [str(model_folder(path).resolve()) for path in paths]
