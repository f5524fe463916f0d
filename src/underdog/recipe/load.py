"""A recipe from its file: TOML, the recipe it extends, presets, --scale and --set, and where each value came from."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from underdog.errors import UserError, did_you_mean
from underdog.recipe.presets import expand_phases
from underdog.recipe.scale import scaled
from underdog.recipe.schema import Phase, Recipe

Origins = dict[str, str]  # "sft.steps" -> "recipes/demo.toml line 41"


@dataclass(frozen=True)
class Resolved:
    """A recipe with every setting filled in, and the origin of each that is not a default."""

    recipe: Recipe
    origins: Origins
    warnings: tuple[str, ...] = ()

    def settings(self) -> Iterator[tuple[str, Any, str]]:
        """(dotted key, value, origin) of every setting, in the order of the stages."""
        for key, value in _flat(self.recipe.model_dump(by_alias=True)):
            yield key, value, self.origins.get(key) or self._origin_above(key)

    def _origin_above(self, key: str) -> str:
        while "." in key:
            key = key.rpartition(".")[0]
            if key in self.origins:
                return self.origins[key]
        return "default"


def load_recipe(path: Path, overrides: Sequence[str] = (), scale: float = 1.0) -> Resolved:
    """Reads and checks a recipe.

    `overrides` are "section.key=value" with a TOML value (a bare word is a string). `scale` shrinks or grows the
    whole recipe (recipe/scale.py).

    Raises:
        UserError: names the file, the line and the key, and the nearest right name.
    """
    values, origins = _read(path)
    for override in overrides:
        key, value = parse_override(override)
        _put(values, key, value, override)
        origins[key] = "--set"
    recipe = _validate(values, origins)
    if scale != 1.0:
        recipe, changed = scaled(recipe, scale)
        origins.update(dict.fromkeys(changed, f"--scale {scale:g}"))
    warnings = _without_effect(recipe, origins)
    return Resolved(_with_phases(recipe, origins), origins, warnings)


def replaced(resolved: Resolved, changes: Mapping[str, Any]) -> Resolved:
    """The recipe with some settings changed (dotted keys), checked again: how a switch is turned."""
    values = resolved.recipe.model_dump(by_alias=True)
    for key, value in changes.items():
        _put(values, key, value, f"{key}={value}")
    recipe = _validate(values, {})
    if recipe.pretrain.preset != "own" and any(key.startswith("pretrain.") for key in changes):
        values["pretrain"]["phase"] = []
        recipe = _with_phases(_validate(values, {}), {})
    return Resolved(recipe, {**resolved.origins, **dict.fromkeys(changes, "switch")})


def parse_override(text: str) -> tuple[str, Any]:
    """("sft.steps", 200) from "sft.steps=200"."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f'--set "{text}" is not of the form section.key=value.', hint="Example: --set sft.steps=200"
        )
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _read(path: Path, chain: tuple[Path, ...] = ()) -> tuple[dict[str, Any], Origins]:
    """Values and origins of a file over those of the recipe it extends."""
    path = path.resolve() if path.is_symlink() else path
    if path in chain:
        raise UserError(
            f"Recipes extend each other in a circle: {' → '.join(str(p) for p in (*chain, path))}."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no recipe {path}.", hint=_recipes_beside(path)) from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as problem:
        raise UserError(f"Recipe {path} cannot be read: {problem}.") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise UserError(f"{path} is not valid TOML: {problem}.") from None
    origins = {key: f"{path} line {line}" for key, line in key_lines(text).items()}
    if "extends" in values:
        base_values, base_origins = _read(path.parent / str(values.pop("extends")), (*chain, path))
        values = _merged(base_values, values)
        origins = {**base_origins, **origins}
    return values, origins


def key_lines(text: str) -> dict[str, int]:
    """The line of each key of a TOML text by dotted name, and of each header as "[section]".

    The tables of an array count from 0: `pretrain.phase.0`.
    """
    lines: dict[str, int] = {}
    prefix = ""
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\-]+)\s*\]", line):
            prefix = header[2]
            if header[1] == "[[":
                index = counts[prefix] = counts.get(prefix, -1) + 1
                prefix = f"{prefix}.{index}"
            lines[f"[{prefix}]"] = number
        elif key := re.match(r"\s*([\w.\-]+)\s*=", line):
            lines[f"{prefix}.{key[1]}" if prefix else key[1]] = number
    return lines


def _validate(values: dict[str, Any], origins: Origins) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as problem:
        raise _explained(problem.errors()[0], origins) from None


def _explained(error: Mapping[str, Any], origins: Origins) -> UserError:
    """One pydantic error as a sentence with file, line, key and the nearest right name."""
    path = [str(part) for part in error["loc"] if part not in ("float", "Rate")]
    key = ".".join(path)
    where = _origin(key, origins)
    if error["type"] == "extra_forbidden":
        parent = _model_at(path[:-1])
        known = [field.alias or name for name, field in parent.model_fields.items()] if parent else []
        kind = "section" if len(path) == 1 and isinstance(error.get("input"), dict) else "key"
        return UserError(f'{where}: recipe has no {kind} "{key}".', hint=_suggestion(path, known))
    message = error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error.get("input"), dict) else f" (given: {error['input']!r})"
    return UserError(f"{where}: {key or 'recipe'}: {message}{given}.")


def _suggestion(path: list[str], known: list[str]) -> str:
    """The nearest key of the section, else the section that has a key of that name."""
    if difflib.get_close_matches(path[-1], known, n=1, cutoff=0.6):
        return did_you_mean(path[-1], known)
    for section, field in Recipe.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel) and path[-1] in model.model_fields:
            return f'Did you mean "{section}.{path[-1]}"?'
    return did_you_mean(path[-1], known)


def _model_at(path: Sequence[str]) -> type[BaseModel] | None:
    """The section that a dotted path leads to."""
    model: Any = Recipe
    for part in path:
        if part.isdigit():
            continue
        field = model.model_fields.get(part)
        model = Phase if part == "phase" else (field.annotation if field else None)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return None
    return model


def _origin(key: str, origins: Origins) -> str:
    """Where a key comes from: its own line, that of a value above it, of its header, or of a key below it."""
    for name in _above(key):
        if found := origins.get(name) or origins.get(f"[{name}]"):
            return found
    return next((origin for name, origin in origins.items() if name.startswith(f"{key}.")), "the recipe")


def _above(key: str) -> Iterator[str]:
    yield key
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _put(values: dict[str, Any], key: str, value: Any, text: str) -> None:
    """Sets values["a"]["b"]["c"] for "a.b.c"; numbers index into arrays."""
    *path, last = key.split(".")
    here: Any = values
    for part in path:
        here = here[int(part)] if isinstance(here, list) and part.isdigit() else here.setdefault(part, {})
        if not isinstance(here, dict | list):
            raise UserError(f'"{text}": "{part}" holds a value, not a section.')
    here[int(last) if isinstance(here, list) else last] = value


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        both[key] = _merged(base[key], value) if nested else value
    return both


def _with_phases(recipe: Recipe, origins: Origins) -> Recipe:
    """The recipe with its phases written out, whatever preset they come from."""
    pretrain = recipe.pretrain
    if pretrain.preset == "own":
        if not pretrain.phase:
            raise UserError('pretrain.preset is "own", but there is no [[pretrain.phase]].')
    else:
        if pretrain.phase:
            raise UserError(
                f'The recipe has [[pretrain.phase]] tables and pretrain.preset = "{pretrain.preset}".',
                hint='Use preset = "own" for phases of your own.',
            )
        pretrain = pretrain.model_copy(update={"phase": expand_phases(pretrain, recipe.model)})
        origins["pretrain.phase"] = f"preset {pretrain.preset}"
    total = sum(phase.share for phase in pretrain.phase)
    if abs(total - 1) > 1e-3:
        raise UserError(f"The shares of the pretraining phases add up to {total:g}, not 1.")
    for phase in pretrain.phase:
        if abs(sum(phase.mix.values()) - 1) > 1e-3:
            raise UserError(f'The mix of phase "{phase.name}" adds up to {sum(phase.mix.values()):g}, not 1.')
        if (phase.context or 0) > recipe.model.context:
            raise UserError(
                f'Phase "{phase.name}" has sequences of {phase.context} tokens; model.context is {recipe.model.context}.'
            )
    return recipe.model_copy(update={"pretrain": pretrain})


def _without_effect(recipe: Recipe, origins: Origins) -> tuple[str, ...]:
    """Settings that were given and change nothing."""
    rules = [
        ("reinforce.", recipe.reinforce.steps == 0, "reinforce.steps is 0"),
        ("control.", recipe.reinforce.steps == 0, "there is no reinforcement to compare with"),
        (
            "pretrain.peak_lr",
            recipe.pretrain.preset == "own",
            'the phases of preset "own" hold their own rates',
        ),
        (
            "reinforce.reset.optimizer",
            not (recipe.reinforce.reset.every or recipe.reinforce.reset.on_stall),
            "resets are off",
        ),
    ]
    return tuple(
        f"{key} ({origin}) has no effect: {why}."
        for key, origin in origins.items()
        for prefix, idle, why in rules
        if idle and key.startswith(prefix) and key != "reinforce.steps"
    )


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{prefix}.{index}")
    else:
        yield prefix, value


def _recipes_beside(path: Path) -> str | None:
    names = [other.name for other in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    return did_you_mean(path.name, names) if names else None
