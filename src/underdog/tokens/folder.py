"""What stands beside tokenizer.json in a Hugging Face folder: the chat template, the names of control tokens, stops."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from underdog.artifacts.files import read_json
from underdog.errors import UserError

CONFIG = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
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
    """The file counts before what tokenizer_config.json says, as in transformers."""
    if (folder / TEMPLATE).exists():
        return {"default": _text(folder / TEMPLATE)}
    said = config.get("chat_template")
    if isinstance(said, str):
        return {"default": said}
    if isinstance(said, list):
        try:
            return {str(one["name"]): str(one["template"]) for one in said}
        except (TypeError, KeyError):
            raise UserError(f'{folder / CONFIG}: "chat_template" is neither a text nor a list of named ones.') from None
    return {}


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
