"""The built-in corpora: documentation and docstrings of the Python that is running, good parts and bad.

Real text that every machine has without a network, read as files, never imported. The lists are fixed: what
else is installed does not change them, only the versions of Python and of these packages do.
"""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from pydoc_data.topics import topics

from underdog.text.document import Document, make_document, split_long
from underdog.text.readers.span import Span

SHORTEST = 200
"""Characters of the shortest docstring that is read."""

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

# What this project depends on, directly or through torch; of the largest, the parts that explain something.
_DOCSTRINGS = (
    *("numpy", "networkx", "mpmath", "pydantic", "pyarrow", "rich", "click", "typer", "jinja2", "fsspec"),
    *("sympy/calculus", "sympy/combinatorics", "sympy/concrete", "sympy/functions", "sympy/geometry"),
    *("sympy/integrals", "sympy/logic", "sympy/ntheory", "sympy/series", "sympy/sets", "sympy/simplify"),
    *("sympy/solvers", "torch/autograd", "torch/distributions", "torch/nn", "torch/optim"),
)
_DISTRIBUTIONS = (
    *("annotated-types", "certifi", "click", "filelock", "fsspec", "huggingface-hub", "jinja2"),
    *("markdown-it-py", "markupsafe", "mdurl", "mpmath", "networkx", "numpy", "packaging", "pyarrow"),
    *("pydantic", "pydantic-core", "pygments", "pyyaml", "rich", "safetensors", "setuptools", "shellingham"),
    *("sympy", "tokenizers", "torch", "tqdm", "typer", "typing-extensions"),
)
_SKIPPED = {
    *("__pycache__", "distutils", "encodings", "ensurepip", "f2py", "idlelib", "lib2to3", "pydoc_data"),
    *("site-packages", "test", "testing", "tests", "turtledemo", "v1"),
}

_TABLES = ("encodings/*.py", "html/entities.py", "stringprep.py", "lib2to3/*.txt")
_CHANGES = ("idlelib/NEWS*.txt", "idlelib/ChangeLog", "idlelib/HISTORY.txt", "idlelib/TODO.txt")
_LEGAL = ("LICEN", "COPYING", "NOTICE", "AUTHORS")

_PIECE = 3_000  # characters of a piece of code or of a table
_CODE_STRIDE, _TABLE_STRIDE = 7, 2  # one piece in so many is read


def python_docs() -> Iterator[Span]:
    """The language reference, by topic, and the docstrings of the standard library."""
    source = "python-docs"
    yield Span(source, "python-topics", "pydoc_data.topics", size=sum(map(len, topics.values())))
    yield from _modules_of(_standard_library(), source, "")


def package_docs() -> Iterator[Span]:
    """Docstrings and READMEs of the packages that this project depends on; absent ones are skipped."""
    source = "package-docs"
    for entry in _DOCSTRINGS:
        package, _, inside = entry.partition("/")
        for folder in _package_folders(package):
            if (folder / inside).is_dir():
                yield from _modules_of(folder / inside, source, f"{entry}/")
    for distribution in _distributions():
        yield Span(source, "python-readme", distribution.name, origin=f"{distribution.name} README")


def python_rest() -> Iterator[Span]:
    """Licences, change logs, tables and raw source code: what a curator must tell from the documentation."""
    source = "python-rest"
    library = _standard_library()
    for path in [library / "LICENSE.txt", *_matches(library, _CHANGES)]:
        yield _file(path, source, "python-file", path.name)
    for distribution in _distributions():
        for file in sorted(distribution.files or (), key=str):
            if file.name.upper().startswith(_LEGAL) and file.suffix not in (".py", ".pyc"):
                path = Path(str(distribution.locate_file(file)))
                yield _file(path, source, "python-file", f"{distribution.name} {file.name}")
    tables = _matches(library, _TABLES)
    for path in tables:
        yield _file(path, source, "python-table", f"{path.parent.name}/{path.name}")
    for path in _modules(library):
        if path not in tables:
            yield _file(path, source, "python-code", f"{path.parent.name}/{path.name}")


def _file(path: Path, source: str, reader: str, origin: str) -> Span:
    size = path.stat().st_size if path.is_file() else 0
    return Span(source, reader, str(path), size=size, origin=origin)


def _modules_of(folder: Path, source: str, prefix: str) -> Iterator[Span]:
    for path in _modules(folder):
        yield _file(path, source, "python-docstrings", prefix + path.relative_to(folder).as_posix())


def _standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _package_folders(package: str) -> list[Path]:
    """Where a package lies; looking for a top-level package imports nothing."""
    spec = importlib.util.find_spec(package)
    return [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []


def _distributions() -> Iterator[importlib.metadata.Distribution]:
    for name in _DISTRIBUTIONS:
        try:
            yield importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _modules(folder: Path) -> Iterator[Path]:
    """Python files below a folder, in a fixed order; what is skipped is not even walked through."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - _SKIPPED)
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith("_sysconfig"):  # those hold paths of this machine
                yield Path(parent, name)


def _matches(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def _read(path: Path) -> str:
    """A file's text; nothing for one that is absent, and marks in place of what is not UTF-8."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _read_topics(span: Span) -> Iterator[Document]:
    for name, text in topics.items():
        yield from _pieces(text, span.source, f"topic {name}")


def _read_readme(span: Span) -> Iterator[Document]:
    description = importlib.metadata.distribution(span.path).metadata.get_payload()
    if isinstance(description, str):
        yield from _pieces(description, span.source, span.origin)


def _read_file(span: Span) -> Iterator[Document]:
    yield from _pieces(_read(Path(span.path)), span.source, span.origin)


def _pieces(text: str, source: str, origin: str) -> Iterator[Document]:
    for number, piece in enumerate(split_long(text), 1):
        yield make_document(piece, source, f"{origin} ({number})" if len(text) > len(piece) else origin)


def _sample(span: Span, stride: int) -> Iterator[Document]:
    """One piece in `stride`, chosen by its digest: the choice does not hang on order or on other files."""
    for number, piece in enumerate(split_long(_read(Path(span.path)), _PIECE), 1):
        if hashlib.sha256(piece.encode()).digest()[0] % stride == 0:
            yield make_document(piece, span.source, f"{span.origin} ({number})")


def _read_docstrings(span: Span) -> Iterator[Document]:
    code = Path(span.path).read_bytes()
    if b'"""' not in code and b"'''" not in code:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's code
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return
    for name, text in _docstrings_of(tree):
        if len(text) >= SHORTEST:
            text = text.encode(errors="replace").decode()  # an escape may have made half a character
            yield make_document(text, span.source, f"{span.origin} {name}".strip())


def _docstrings_of(node: _Documented, name: str = "") -> Iterator[tuple[str, str]]:
    """(qualified name, docstring) of a module and its classes and functions, in order of appearance."""
    if text := ast.get_docstring(node):
        yield name, text
    for child in node.body:
        if isinstance(child, _Documented):
            yield from _docstrings_of(child, f"{name}.{child.name}".lstrip("."))


READERS: dict[str, Callable[[Span], Iterator[Document]]] = {
    "python-topics": _read_topics,
    "python-docstrings": _read_docstrings,
    "python-readme": _read_readme,
    "python-file": _read_file,
    "python-table": functools.partial(_sample, stride=_TABLE_STRIDE),
    "python-code": functools.partial(_sample, stride=_CODE_STRIDE),
}
