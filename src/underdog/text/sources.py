"""Sources: named corpora, and the user's own folders, globs and files."""

import glob
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from underdog.errors import UserError, did_you_mean
from underdog.text.document import Document, Reject
from underdog.text.python_corpus import package_docs, python_docs, python_rest
from underdog.text.user_files import find_files, read_file

SOURCES: dict[str, Callable[[], Iterator[Document]]] = {
    "python-docs": python_docs,
    "package-docs": package_docs,
    "python-rest": python_rest,
}


def read_sources(names: Sequence[str], reject: Callable[[Reject], None]) -> Iterator[Document]:
    """The documents of all sources, one source after another, in an order that is the same every time.

    Bad records go to `reject`.

    Raises:
        UserError: a name that is neither a source nor a path, or a path without text. Before anything is
        read.
    """
    files = {name: find_files(name) for name in names if not _is_named(name)}
    return _read(names, files, reject)


def _read(names: Sequence[str], files: dict[str, list[Path]], reject: Callable[[Reject], None]) -> Iterator[Document]:
    for name in names:
        if name in files:
            for path in files[name]:
                yield from read_file(path, name, reject)
        else:
            yield from SOURCES[name]()


def _is_named(name: str) -> bool:
    """Whether an entry names a source and not a path.

    Raises:
        UserError: it looks like a name, but there is neither such a source nor such a path.
    """
    if name in SOURCES:
        return True
    looks_like_path = Path(name).expanduser().exists() or glob.has_magic(name) or set(name) & set("/\\.~")
    if not looks_like_path:
        raise UserError(f'curate.sources: unknown source "{name}".', hint=did_you_mean(name, SOURCES))
    return False
