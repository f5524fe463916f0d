"""The resolved recipe as TOML: what the card shows folded, and what makes the same run again."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def as_toml(recipe: Mapping[str, Any]) -> str:
    """A recipe file that resolves to `recipe`.

    Phases that a preset wrote out are left to the preset: a file that has both is refused.
    """
    pretrain = recipe.get("pretrain", {})
    by_preset = pretrain.get("preset", "own") != "own"
    values = {**recipe, "pretrain": {k: v for k, v in pretrain.items() if not (by_preset and k == "phase")}}
    return "\n".join(_lines(values)).strip() + "\n"


def _lines(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Top-level keys first, then a table a section; what lies deeper stands on one line, phases excepted."""
    for key, value in recipe.items():
        if not isinstance(value, Mapping) and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for section, settings in recipe.items():
        if not isinstance(settings, Mapping) or not settings:
            continue
        tables = {k: v for k, v in settings.items() if _is_tables(v)}
        yield f"\n[{_key(section)}]"
        yield from (f"{_key(k)} = {_value(v)}" for k, v in settings.items() if k not in tables and v is not None)
        for name, rows in tables.items():
            for row in rows:
                yield f"\n[[{_key(section)}.{_key(name)}]]"
                yield from (f"{_key(k)} = {_value(v)}" for k, v in row.items() if v is not None)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return repr(value)
