"""Opening a model for use: a checkpoint folder, a run that made one, a GGUF file, or a server's address."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from underdog.artifacts.files import read_json
from underdog.artifacts.runs import MODEL, RECORD
from underdog.errors import UserError, nearest
from underdog.generate import footprint
from underdog.generate.footprint import Footprint
from underdog.generate.interface import CacheKind
from underdog.generate.options import OptionError, Options
from underdog.generate.session import Model, Served

CONFIG = "config.json"
KEY = "UNDERDOG_API_KEY"  # environment: what a server at an address wants to see


@dataclass(frozen=True)
class Loading:
    """How a local model is kept in memory."""

    context: int | None = None  # tokens that a conversation may have; None: the engine's own choice
    answers: int | None = None  # drawn at once; None: the engine's own choice
    cache: CacheKind = "full"


def open_model(
    path: Path | str, loading: Loading = Loading(), tell: Callable[[Footprint], None] = lambda footprint: None
) -> Model:
    """Opens what a person names.

    - a Hugging Face folder, or a run (runs/<name>-<key>): the built-in engine; it is talked to by the chat template
      that the folder brings;
    - a .gguf file: llama.cpp;
    - http://host/v1#model: a server of OpenAI's API; the model may be left out where there is one only. The key comes
      from $UNDERDOG_API_KEY.

    Args:
        tell: called with what a local model takes of the memory, before it is loaded.

    Raises:
        UserError: there is no such thing, the run has no model yet, the folder is damaged, it does not fit into the
            memory, the server does not answer, or `loading` is asked of a server.
    """
    if is_address(path):
        return _open_address(str(path), loading)
    path = Path(path)
    if path.suffix == ".gguf" and path.is_file():
        return _open_gguf(path, loading, tell)
    return _open_folder(path, loading, tell)


def is_address(path: Path | str) -> bool:
    return str(path).lower().startswith(("http://", "https://"))


def _open_address(said: str, loading: Loading) -> Model:
    from underdog.generate.remote import Remote

    address, _, name = said.partition("#")
    if wishes := [field for field, value in vars(loading).items() if value != getattr(Loading, field)]:
        raise UserError(f"--{wishes[0]} is for local models: the server at {address} decides.", hint="Leave it out.")
    return Remote(address, name or None, os.environ.get(KEY))


def _open_gguf(path: Path, loading: Loading, tell: Callable[[Footprint], None]) -> Served:
    from underdog.generate.llamacpp import SLOTS, LlamaCpp, context_of

    context, answers = context_of(path, loading.context), loading.answers or SLOTS
    tell(footprint.of_gguf(path, context, answers, loading.cache))
    engine = LlamaCpp(path, context, answers=answers, cache=loading.cache)
    return Served(path.stem, engine, engine)


def _open_folder(path: Path, loading: Loading, tell: Callable[[Footprint], None]) -> Served:
    from underdog.generate.chat import TemplateChat
    from underdog.generate.torch_engine import PARALLEL, TorchEngine
    from underdog.model.weights import load_pretrained
    from underdog.tokens.tokenizer import Tokenizer

    folder = _checkpoint(path)
    try:
        tokenizer = Tokenizer.load(folder)
        chat = TemplateChat(tokenizer)
    except UserError as problem:
        raise UserError(f"{folder}: {problem}", hint=problem.hint) from None
    answers = loading.answers or PARALLEL
    tell(footprint.of_folder(folder, loading.context, answers, loading.cache))
    model = load_pretrained(folder)
    tokenizer.check_fits(model.config.vocabulary, folder)
    engine = TorchEngine(model, tokenizer, loading.context, answers, loading.cache)
    return Served(_name(path), engine, chat, _defaults(folder))


def _checkpoint(path: Path) -> Path:
    """The folder with the weights."""
    if not path.exists():
        raise UserError(f"There is no {'file' if path.suffix == '.gguf' else 'folder'} {path}.", hint=_where(path))
    if not path.is_dir():
        raise UserError(
            f"{path} is a file; a model is a folder, or a file that ends in .gguf.",
            hint="Give the folder with config.json and model.safetensors, or the run that made it.",
        )
    if (path / RECORD).exists():
        folder = path / MODEL
        if not (folder / CONFIG).exists():
            raise UserError(
                f"The run {path} has no finished model.",
                hint="Run its recipe again: it goes on where it stopped.",
            )
        return folder
    if not (path / CONFIG).exists():
        raise UserError(
            f"{path} is neither a checkpoint (it has no config.json) nor a run (it has no {RECORD}).",
            hint=_where(path / "?"),
        )
    return path


def _where(path: Path) -> str:
    """The sibling that was meant, or what there is to choose from."""
    parent = path.parent
    children = parent.iterdir() if parent.is_dir() else ()
    models = {child.name: child for child in children if (child / RECORD).exists() or (child / CONFIG).exists()}
    if guess := nearest(path.name, models):
        return f"Did you mean {models[guess]}?"
    if models:
        return f"In {parent} there are: {', '.join(sorted(models)[:8])}."
    return "Give a checkpoint folder, or the folder of a finished run (runs/<name>-<key>)."


def _defaults(folder: Path) -> Options:
    """How the model wants to be sampled, from generation_config.json."""
    path = folder / "generation_config.json"
    said = read_json(path) if path.exists() else {}
    try:
        return Options(
            temperature=said.get("temperature") if said.get("do_sample", True) else 0.0,
            **{name: said.get(name) for name in ("top_p", "top_k", "min_p", "repetition_penalty")},
        )
    except (OptionError, TypeError, AttributeError) as problem:
        raise UserError(f"{path}: {problem}") from None


def _name(path: Path) -> str:
    """What the model answers to: its run's name, else its folder's."""
    for run in (path, path.parent if path.name == MODEL else path):
        if (run / RECORD).exists():
            said = read_json(run / RECORD)
            name = said.get("recipe", {}).get("name") if isinstance(said, dict) else None
            return name or run.resolve().name
    return path.resolve().name
