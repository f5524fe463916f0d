"""Nested tables by dotted key: which line a key stands on, setting one, laying one table over another."""

import re
from collections.abc import Iterator
from typing import Any

from underdog.errors import UserError

Origins = dict[str, str]  # "sft.steps" -> "recipes/demo.toml line 41"


def key_lines(text: str) -> dict[str, int]:
    """The line of each key of a TOML text by dotted name, and of each header as "[section]".

    The tables of an array count from 0: `pretrain.phase.0`.
    """
    lines: dict[str, int] = {}
    prefix = ""
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\"']?)([\w.\-]+)\2\s*\]", line):
            prefix = header[3]
            if header[1] == "[[":
                index = counts[prefix] = counts.get(prefix, -1) + 1
                prefix = f"{prefix}.{index}"
            lines[f"[{prefix}]"] = number
        elif key := re.match(r"\s*([\"']?)([\w.\-]+)\1\s*=", line):
            lines[f"{prefix}.{key[2]}" if prefix else key[2]] = number
    return lines


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything in nested tables and arrays of tables."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from flat(inner, f"{prefix}.{index}")
    else:
        yield prefix, value


def above(key: str) -> Iterator[str]:
    """The key itself, and those of all tables that it lies in, from the inside out."""
    yield key
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def origin(key: str, origins: Origins) -> str:
    """Where a key comes from: its own line, that of a value above it, of its header, or of a key below it."""
    for name in above(key):
        if found := origins.get(name) or origins.get(f"[{name}]"):
            return found
    return next((where for name, where in origins.items() if name.startswith(f"{key}.")), "the recipe")


def put(values: dict[str, Any], key: str, value: Any, what: str) -> None:
    """Sets values["a"]["b"]["c"] for "a.b.c"; numbers index into arrays."""
    *path, last = key.split(".")
    here: Any = values
    for part in path:
        place = _place(here, part, what)
        here = here[place] if isinstance(here, list) else here.setdefault(place, {})
        if not isinstance(here, dict | list):
            raise UserError(f'{what}: "{part}" holds a value, not a section.')
    here[_place(here, last, what)] = value


def _place(here: dict[str, Any] | list[Any], part: str, what: str) -> str | int:
    """A key of a table, or an index of an array."""
    if isinstance(here, dict):
        return part
    if not (part.isdecimal() and int(part) < len(here)):
        raise UserError(f'{what}: there is no item "{part}" in a list of {len(here)}; they count from 0.')
    return int(part)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`: tables are joined, anything else is replaced."""
    both = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        both[key] = merged(base[key], value) if nested else value
    return both


def taken(base: dict[str, Any], over: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys that a merge takes from `over`."""
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            yield from taken(base[key], value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
