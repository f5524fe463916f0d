"""Sources: named corpora, and the user's own folders, globs, files and manifests of them."""

import glob
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from underdog.errors import UserError, nearest
from underdog.text.python_corpus import package_docs, python_docs, python_rest
from underdog.text.readers.formats import READS, cut, reader_of
from underdog.text.readers.span import Span

SOURCES: dict[str, Callable[[], Iterator[Span]]] = {
    "python-docs": python_docs,
    "package-docs": package_docs,
    "python-rest": python_rest,
}
MANIFEST = ".manifest"
"""A file of this suffix lists files, folders and globs, one a line, from its own folder on."""


def find_spans(names: Sequence[str], field: str = "text", setting: str = "curate.sources") -> list[Span]:
    """What there is to read, in an order that is the same every time. `field` is where records have their text.

    Raises:
        UserError: a name that is neither a source nor a path, or a path without text; it names the setting.
    """
    spans: list[Span] = []
    for name, found in check_sources(names, setting).items():
        spans += SOURCES[name]() if found is None else (span for path in found for span in cut(path, name, field))
    return spans


def check_sources(names: Sequence[str], setting: str) -> dict[str, list[Path] | None]:
    """The files behind each name, None for a named corpus; raises as `find_spans`."""
    try:
        return {name: None if _is_named(name) else _files_of(name) for name in names}
    except UserError as problem:
        raise UserError(f"{setting}: {problem}", hint=problem.hint) from None


def expand(names: Sequence[str]) -> list[str]:
    """The names with the entries of manifests behind each: what a change is looked for in."""
    return [part for name in names for part in (name, *(_entries(Path(name)) if _is_manifest(name) else ()))]


def find_files(entry: str) -> list[Path]:
    """The files that an entry of the recipe means, sorted; a folder is searched to its depth, hidden
    parts left out.

    Raises:
        UserError: nothing is there, or nothing that can be read.
    """
    path = Path(entry).expanduser()
    if path.is_file():
        if reader_of(path) is None:
            raise UserError(f"{entry} is not a text file by its name.", hint=READS)
        return [path]
    if path.is_dir():
        found = [file for file in path.rglob("*") if not _is_hidden(file.relative_to(path))]
    elif glob.has_magic(entry):
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]
    else:
        raise UserError(f"{entry} does not exist.", hint="Paths start at the current folder.")
    files = sorted(file for file in found if reader_of(file) and file.is_file())
    if not files:
        raise UserError(f"There is no text in {entry}.", hint=READS)
    return files


def _files_of(name: str) -> list[Path]:
    if not _is_manifest(name):
        return find_files(name)
    entries = _entries(Path(name))
    try:
        return list(dict.fromkeys(file for entry in entries for file in find_files(entry)))
    except UserError as problem:
        raise UserError(f"{name}: {problem}", hint="The paths of a manifest start at its own folder.") from None


def _is_manifest(name: str) -> bool:
    return name.endswith(MANIFEST) and Path(name).expanduser().is_file()


def _entries(manifest: Path) -> list[str]:
    manifest = manifest.expanduser()
    try:
        lines = [line.strip() for line in manifest.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError:
        raise UserError(f"{manifest} is not UTF-8.", hint="A manifest lists paths, one a line.") from None
    entries = [str(manifest.parent / Path(line).expanduser()) for line in lines if line and not line.startswith("#")]
    if not entries:
        raise UserError(f"{manifest} lists nothing.", hint="A manifest lists paths, one a line.")
    return entries


def _is_named(name: str) -> bool:
    """Whether an entry names a source and not a path.

    Raises:
        UserError: it looks like a name, but there is neither such a source nor such a path.
    """
    if name in SOURCES:
        return True
    looks_like_path = Path(name).expanduser().exists() or glob.has_magic(name) or set(name) & set("/\\.~")
    if not looks_like_path:
        known = f"Paths start at the current folder. Corpora: {', '.join(sorted(SOURCES))}."
        guess = nearest(name, SOURCES)
        raise UserError(
            f'there is no file or folder "{name}", and no corpus of that name.',
            hint=f'Did you mean "{guess}"?' if guess else known,
        )
    return False


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in ("__pycache__", "node_modules") for part in path.parts)
