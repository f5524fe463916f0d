"""What the documents name is there: commands with their options, settings, files, imports."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from underdog.cli import app
from underdog.recipe.schema import Recipe

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("recipes/**/*.toml")])
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
VERBS = typer.main.get_command(app)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """The words behind each `underdog` that begins a command."""
    text = re.sub(r'"[^"\n]*"', "…", text.replace("\\\n", " "))
    for words in re.findall(r"(?:^|`|&& |   )underdog +([a-z](?:(?!   )[^\n`#&])*)", text, re.MULTILINE):
        yield words.split()


def find_verb(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words lead to, and what is left of them."""
    command = VERBS
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if hasattr(command, "commands") and "run" in command.commands and command is not VERBS:
        command = command.commands["run"]  # `underdog curate RECIPE`
    return command, words


@EACH_PAGE
def test_commands_have_the_verbs_and_options_that_are_named(page):
    for words in commands(page.read_text(encoding="utf-8")):
        command, rest = find_verb(words)
        assert command is not VERBS, f"there is no verb {words[0]}: {words}"
        known = {name for option in getattr(command, "params", ()) for name in (*option.opts, *option.secondary_opts)}
        asked = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert asked <= {*known, "--help"}, words


def section_at(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := section_at(inner))), None)


def is_setting(key: str) -> bool:
    section: type[BaseModel] | None = Recipe
    for part in key.split("."):
        if section is None or part.isdigit():
            continue  # behind a free table; an item of a list
        fields = {field.alias or name: field for name, field in section.model_fields.items()}
        if part not in fields:
            return False
        section = section_at(fields[part].annotation)
    return True


def keys(values: Any, before: str = "") -> Iterator[str]:
    if isinstance(values, list):
        for value in values:
            yield from keys(value, before)
    elif isinstance(values, dict):
        for key, value in values.items():
            yield f"{before}{key}"
            yield from keys(value, f"{before}{key}.")


@EACH_PAGE
def test_settings_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    sections = "|".join(Recipe.model_fields)
    found = {*re.findall(rf"`((?:{sections})\.[a-z_0-9.]*[a-z_0-9])`", text)}
    found |= {*re.findall(rf"--set (?:\"|')?((?:{sections})(?:\.[a-z_0-9]+)*)=", text)}
    for block in blocks(page, "toml"):
        found |= {key for key in keys(tomllib.loads(block)) if key.partition(".")[0] in Recipe.model_fields}
    assert not [key for key in sorted(found) if not is_setting(key)]


@EACH_PAGE
def test_files_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.])((?:src|docs|tests|benchmarks|recipes)/[\w./-]+\.(?:py|md|toml|png))", text)
    linked = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if not link.startswith("http")]
    inside = re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", text)
    assert not [name for name in named if not (ROOT / name).exists()]
    assert not [link for link in linked if not (page.parent / link).exists()]
    assert not [name for name in inside if not ((ROOT / "src" / "underdog" / name).exists() or (ROOT / name).exists())]


@EACH_PAGE
def test_options_of_benchmarks_exist(page):
    for script, options in re.findall(r"python (benchmarks/\w+\.py)([^`\n&]*)", page.read_text(encoding="utf-8")):
        source = (ROOT / script).read_text(encoding="utf-8")
        assert not [one for one in re.findall(r"--[a-z-]+", options) if f'"{one}"' not in source], script


@EACH_PAGE
def test_imports_work(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("underdog"):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), node.module
