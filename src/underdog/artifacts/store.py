"""Artifacts: what a stage makes. A folder with a manifest, found again by what it was made from.

The key of an artifact is the digest of its stage, the settings the stage reads, its seed and the keys of its
parents. Running a recipe again finds the finished folders by key and skips them; changing a setting changes the
keys of what depends on it, and only that is made anew.
"""

import contextlib
import fcntl
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from underdog import __version__
from underdog.artifacts.files import (
    commit_folder,
    digest_file,
    digest_json,
    disk_errors,
    read_json,
    write_json,
    write_text,
)
from underdog.errors import UserError
from underdog.lanes import cores, lanes

MANIFEST = "manifest.json"
LOG = "log.jsonl"
KEPT = ".kept"
STATE = "state"  # resumable state of an unfinished stage, inside the draft; never part of the artifact


@dataclass(frozen=True)
class Artifact:
    """A finished folder."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def key(self) -> str:
        return self.manifest["key"]

    @property
    def stage(self) -> str:
        return self.manifest["stage"]

    @property
    def metrics(self) -> Mapping[str, Any]:
        return self.manifest["metrics"]

    @property
    def seconds(self) -> float:
        """Time spent making it, over all interrupted attempts."""
        return self.manifest["seconds"]

    def log(self) -> list[dict[str, Any]]:
        """The time series that the stage wrote, one record a line."""
        path = self.path / LOG
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class Draft:
    """The unfinished artifact that a stage writes to."""

    path: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    on_progress: Callable[[float, float, str], None] = lambda done, total, note: None
    earlier: float = 0.0  # seconds that interrupted attempts spent up to the state this one resumes from
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Time spent on the work in this draft so far."""
        return self.earlier + time.monotonic() - self.started

    def log(self, **record: Any) -> None:
        """Appends one record to the time series."""
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def rewind_log(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Drops the records written after the state that a resumed stage goes on from."""
        path = self.path / LOG
        if path.exists():
            records = [record for record in _whole_lines(path) if keep(record)]
            write_text(path, "".join(json.dumps(record) + "\n" for record in records))

    def progress(self, done: float, total: float, note: str = "") -> None:
        self.on_progress(done, total, note)

    @property
    def state(self) -> Path:
        """Folder for the state that lets a killed stage go on; removed when the artifact is finished."""
        return self.path / STATE

    @property
    def kept(self) -> Path:
        """Folder beside all artifacts for what several of them may use again, such as replies that were paid for."""
        return self.path.parent / KEPT

    def results(self) -> list[Path]:
        """The files that make up the artifact, sorted."""
        return sorted(path for path in self.path.rglob("*") if path.is_file() and self.state not in path.parents)


class JoinedDraft(Draft):
    """The draft as processes see it that compute along: they read its state, and leave the writing to rank 0."""

    def log(self, **record: Any) -> None:
        pass

    def rewind_log(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        pass


@dataclass(frozen=True)
class Store:
    """A folder of artifacts, shared by all runs below one root."""

    root: Path

    def key(self, stage: str, version: int, settings: Any, seed: int | None, parents: Mapping[str, Artifact]) -> str:
        parts = {
            "stage": stage,
            "version": version,
            "settings": settings,
            "seed": seed,
            "parents": {name: parent.key for name, parent in parents.items()},
        }
        return digest_json(parts)[:16]

    def find(self, stage: str, key: str) -> Artifact | None:
        """The finished artifact of that key, after checking its files against their digests."""
        folder = self._folder(stage, key)
        if not folder.exists():
            return None
        shutil.rmtree(folder / STATE, ignore_errors=True)  # left by a kill right after the rename
        return load(folder)

    def make(
        self,
        stage: str,
        build: Callable[[Draft], None],
        *,
        version: int = 1,
        settings: Any = None,
        seed: int | None = None,
        parents: Mapping[str, Artifact] | None = None,
        on_progress: Callable[[float, float, str], None] | None = None,
    ) -> tuple[Artifact, bool]:
        """Returns the artifact and whether it was there already.

        `build` fills a draft folder; if it is killed, the same call finds the draft and `build` may resume from
        its state. The draft becomes the artifact by one rename.
        """
        parents = parents or {}
        key = self.key(stage, version, settings, seed, parents)
        if found := self.find(stage, key):
            return found, True
        with disk_errors(self.root), self._lock(stage, key):
            if found := self.find(stage, key):  # made by another process in the meantime
                return found, True
            draft = self._draft(stage, key, on_progress)
            build(draft)
            write_json(
                draft.path / MANIFEST,
                {
                    "key": key,
                    "stage": stage,
                    "version": version,
                    "made_by": f"underdog {__version__}",
                    "machine": f"{platform.machine()}, {cores()} CPU cores, Python {platform.python_version()}",
                    "lanes": lanes(),
                    "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                    "seconds": round(draft.seconds, 3),
                    "seed": seed,
                    "settings": settings,
                    "parents": {name: parent.path.name for name, parent in parents.items()},
                    "metrics": draft.metrics,
                    "files": {
                        str(path.relative_to(draft.path)): {
                            "sha256": digest_file(path),
                            "bytes": path.stat().st_size,
                        }
                        for path in draft.results()
                    },
                },
            )
            # The state goes last: a kill before the rename leaves a draft that can still be resumed.
            commit_folder(draft.path, self._folder(stage, key))
            shutil.rmtree(self._folder(stage, key) / STATE, ignore_errors=True)
        return load(self._folder(stage, key), verify=False), False

    def log_so_far(self, stage: str, key: str) -> list[dict[str, Any]]:
        """What an unfinished artifact has logged, as far as its lines are whole."""
        path = self.root / f"{stage}-{key}.partial" / LOG
        return list(_whole_lines(path)) if path.exists() else []

    def parents(self, artifact: Artifact) -> dict[str, Artifact]:
        return {name: load(self.root / folder, verify=False) for name, folder in artifact.manifest["parents"].items()}

    def _folder(self, stage: str, key: str) -> Path:
        return self.root / f"{stage}-{key}"

    def _draft(self, stage: str, key: str, on_progress: Callable[[float, float, str], None] | None) -> Draft:
        path = self.root / f"{stage}-{key}.partial"
        path.mkdir(parents=True, exist_ok=True)
        kept = (STATE, LOG) if (path / STATE).exists() else ()  # a stage without a state begins anew
        for left in path.iterdir():
            if left.name not in kept:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        return Draft(path) if on_progress is None else Draft(path, on_progress=on_progress)

    @contextlib.contextmanager
    def _lock(self, stage: str, key: str) -> Iterator[None]:
        """Two processes never write the same draft; the lock goes with the process that holds it."""
        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / f"{stage}-{key}").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"Another process is making {stage}-{key} in {self.root} right now.",
                    hint="Wait for it to end, or stop it: its work is kept.",
                ) from None
            yield


def load(folder: Path, *, verify: bool = True) -> Artifact:
    """Opens a finished artifact.

    Raises:
        UserError: there is no manifest, or a file is missing or differs from its digest.
    """
    remedy = f"Remove the folder {folder} and run the recipe again: only this stage is made anew."
    if not (folder / MANIFEST).exists():
        hint = remedy if folder.exists() else "Run the recipe again: only what is missing is made."
        raise UserError(f"{folder} is not an artifact: it has no {MANIFEST}.", hint=hint)
    manifest = read_json(folder / MANIFEST, remedy)
    try:
        files = [(name, entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()]
        complete = {"key", "stage", "seconds", "parents", "metrics"} <= manifest.keys()
    except (KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise UserError(f"{folder / MANIFEST} is not a manifest of Underdog.", hint=remedy)
    for name, size, digest in files if verify else ():
        path = folder / name
        if not path.is_file():
            raise UserError(f"Artifact {folder.name} is damaged: {name} is missing.", hint=remedy)
        if path.stat().st_size != size or digest_file(path) != digest:
            raise UserError(f"Artifact {folder.name} is damaged: {name} differs from its digest.", hint=remedy)
    return Artifact(folder, manifest)


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a log whose last line may have been cut short by a kill."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return
