"""What stands beside tokenizer.json in a Hugging Face folder: the chat template, the names of control tokens, stops."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from underdog.artifacts.files import read_json
from underdog.errors import UserError

CONFIG = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
MORE_TEMPLATES = "additional_chat_templates"
"""Folder of the templates that are not the default, <name>.jinja each, as transformers writes them."""
GENERATION = "generation_config.json"
KEPT = (CONFIG, "special_tokens_map.json", "added_tokens.json", GENERATION)
"""What a model of others brings along, and is written as it was read."""
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class Beside:
    """`templates` by name: "default", and "tool_use" where a family has another for tools."""

    templates: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)  # "eos_token" -> "<|im_end|>": what templates may ask for
    stops: tuple[int, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def read_beside(folder: Path) -> Beside:
    """Raises UserError where a file is damaged."""
    config = _object(folder / CONFIG)
    named = {name: text for name in NAMED if (text := _content(config.get(name)))}
    stops = _object(folder / GENERATION).get("eos_token_id")
    stops = [stops] if isinstance(stops, int) else stops if isinstance(stops, list) else []
    files = {name: _text(folder / name) for name in KEPT if (folder / name).exists()}
    return Beside(_templates(folder, config), named, tuple(one for one in stops if isinstance(one, int)), files)


def _templates(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The files count before what tokenizer_config.json says, as in transformers."""
    files = {path.stem: path for path in sorted((folder / MORE_TEMPLATES).glob("*.jinja"))}
    if (folder / TEMPLATE).exists():
        files["default"] = folder / TEMPLATE
    if files:
        return {name: _text(path) for name, path in files.items()}
    said = config.get("chat_template")
    if isinstance(said, str):
        return {"default": said}
    if isinstance(said, list):
        try:
            found = {str(one["name"]): str(one["template"]) for one in said}
        except (TypeError, KeyError):
            raise UserError(f'{folder / CONFIG}: "chat_template" is neither a text nor a list of named ones.') from None
        for name in found:
            if Path(name).name != name:  # each is written as a file; no name may lead out of its folder
                raise UserError(f'{folder / CONFIG}: the chat template\'s name "{name}" is none of a file.')
        return found
    return {}


def write_templates(folder: Path, templates: Mapping[str, str]) -> None:
    for name, text in templates.items():
        path = folder / TEMPLATE if name == "default" else folder / MORE_TEMPLATES / f"{name}.jinja"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _object(path: Path) -> dict[str, Any]:
    found = read_json(path) if path.exists() else {}
    if not isinstance(found, dict):
        raise UserError(f"{path} does not hold a JSON object.")
    return found


def _content(token: Any) -> str | None:
    """A token is written as its text, or as an object that holds it."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8.") from None
