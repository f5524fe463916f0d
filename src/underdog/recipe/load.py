"""A recipe from its file: TOML, the recipe it extends, presets, --scale and --set, and where each value came from."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from underdog.errors import UserError, did_you_mean, nearest
from underdog.recipe.idle import idle_settings
from underdog.recipe.phases import with_budget, with_phases
from underdog.recipe.scale import scaled
from underdog.recipe.schema import Recipe
from underdog.recipe.tables import Origins, above, flat, key_lines, merged, origin, put, taken

SET = "--set"


@dataclass(frozen=True)
class Resolved:
    """A recipe with every setting filled in, and the origin of each that is not a default."""

    recipe: Recipe
    origins: Origins
    warnings: tuple[str, ...] = ()

    def settings(self) -> Iterator[tuple[str, Any, str]]:
        """(dotted key, value, origin) of every setting, in the order of the stages."""
        for key, value in flat(self.recipe.model_dump(by_alias=True)):
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
        put(values, key, value, f'--set "{override}"')
        origins = {**_without(origins, [key]), key: SET}
    recipe = _with_budget(_validate(values, origins), origins)
    if scale != 1.0:
        before, recipe = dict(flat(recipe.model_dump(by_alias=True))), scaled(recipe, scale)
        after = flat(recipe.model_dump(by_alias=True))
        origins.update({key: f"--scale {scale:g}" for key, value in after if before.get(key) != value})
    warnings = tuple(idle_settings(recipe, (key for key, _ in flat(values)), origins))
    return Resolved(_with_phases(recipe, origins), origins, warnings)


def replaced(resolved: Resolved, changes: Mapping[str, Any]) -> Resolved:
    """The recipe with some settings changed (dotted keys), checked again: how a switch is turned."""
    values = resolved.recipe.model_dump(by_alias=True)
    for key, value in changes.items():
        put(values, key, value, f'"{key}={value}"')
    origins = {**_without(resolved.origins, changes), **dict.fromkeys(changes, "switch")}
    if values["pretrain"]["preset"] != "own":
        values["pretrain"]["phase"] = []  # written out anew
    recipe = _with_budget(_validate(values, origins), origins)
    return Resolved(_with_phases(recipe, origins), origins)


def parse_override(text: str) -> tuple[str, Any]:
    """("sft.steps", 200) from "sft.steps=200"."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f'--set "{text}" is not of the form section.key=value.', hint="Example: --set sft.steps=200")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _read(path: Path, chain: tuple[Path, ...] = ()) -> tuple[dict[str, Any], Origins]:
    """Values and origins of a file over those of the recipe it extends."""
    if path.resolve() in chain:
        circle = " → ".join(str(file) for file in (*chain, path.resolve()))
        raise UserError(f"Recipes extend each other in a circle: {circle}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"There is no recipe {path}.", hint=_recipes_beside(path)) from None
    except OSError as problem:
        what = f"Recipe {path} cannot be read: {problem.strerror}."
        raise UserError(what, hint=_recipes_beside(path / "?")) from None
    except UnicodeDecodeError:
        raise UserError(f"Recipe {path} is not UTF-8.") from None
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise UserError(f"{path} is not valid TOML: {problem}.") from None
    origins = {key: f"{path} line {line}" for key, line in key_lines(text).items()}
    if "extends" in values:
        real = path.resolve() if path.is_symlink() else path
        base = real.parent / str(values.pop("extends"))
        if not base.is_file():
            raise UserError(f"{origins['extends']}: there is no recipe {base}.", hint=_recipes_beside(base))
        base_values, base_origins = _read(base, (*chain, path.resolve()))
        origins = {**_without(base_origins, taken(base_values, values)), **origins}
        values = merged(base_values, values)
    return values, origins


def _validate(values: dict[str, Any], origins: Origins) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as problem:
        raise _explained(min(problem.errors(), key=_rank), origins) from None


_UNION = ("constrained-float", "Rate")  # the members of `Phase.lr`, as pydantic names them in an error's place


def _rank(error: Mapping[str, Any]) -> tuple[bool, bool]:
    """Which of several errors to show: a key that is missing is often one that was misspelt, and a table where a
    number may stand is meant to be a table."""
    wrong_member = error["loc"][-1:] == _UNION[:1] and isinstance(error["input"], dict)
    return wrong_member, error["type"] == "missing"


def _explained(error: Mapping[str, Any], origins: Origins) -> UserError:
    """One pydantic error as a sentence with file, line, key and the nearest right name."""
    path = [str(part) for part in error["loc"] if part not in _UNION]
    key = ".".join(path)
    where = origin(key, origins)
    if error["type"] == "extra_forbidden":
        parent = _model_at(path[:-1])
        known = [field.alias or name for name, field in parent.model_fields.items()] if parent else []
        kind = "section" if len(path) == 1 and isinstance(error.get("input"), dict) else "key"
        return UserError(f'{where}: recipe has no {kind} "{key}".', hint=_suggestion(path, known, whole=where == SET))
    section = error["type"] in ("model_type", "dict_type")
    message = "should be a table of settings" if section else error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error.get("input"), dict) else f" (given: {error['input']!r})"
    return UserError(f"{where}: {key or 'recipe'}: {message}{given}.")


def _suggestion(path: list[str], known: list[str], whole: bool) -> str:
    """The nearest key of the section (`whole`: with the section before it, as --set wants it), else the section that
    has a key of that name."""
    if guess := nearest(path[-1], known):
        return f'Did you mean "{".".join([*path[:-1], guess]) if whole else guess}"?'
    for section, field in Recipe.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel) and path[-1] in model.model_fields:
            return f'Did you mean "{section}.{path[-1]}"?'
    return did_you_mean(path[-1], known)


def _model_at(path: Sequence[str]) -> type[BaseModel] | None:
    """The section that a dotted path leads to."""
    model: type[BaseModel] | None = Recipe
    for part in path:
        if model and not part.isdigit():
            field = model.model_fields.get(part)
            model = _section_in(field.annotation) if field else None
    return model


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section in an annotation such as `float | Rate` or `list[Phase]`."""
    if inner := get_args(annotation):
        return next(filter(None, map(_section_in, inner)), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _without(origins: Origins, keys: Iterable[str]) -> Origins:
    """The origins of all but these keys and what lies below them."""
    gone = set(keys)
    return {name: origin for name, origin in origins.items() if gone.isdisjoint(above(name.strip("[]")))}


def _with_budget(recipe: Recipe, origins: Origins) -> Recipe:
    return with_budget(recipe, lambda key: origin(key, origins), given="pretrain.tokens" in origins)


def _with_phases(recipe: Recipe, origins: Origins) -> Recipe:
    if recipe.pretrain.preset != "own" and not recipe.pretrain.phase:
        origins["pretrain.phase"] = f"preset {recipe.pretrain.preset}"
    return with_phases(recipe, lambda key: origin(key, origins))


def _recipes_beside(path: Path) -> str | None:
    """The recipe that was meant, or those that there are, as they can be typed."""
    names = {other.name: other for other in path.parent.glob("*.toml")} if path.parent.is_dir() else {}
    if guess := nearest(path.name, names):
        return f"Did you mean {names[guess]}?"
    return f"There are: {', '.join(map(str, sorted(names.values())))}." if names else None
