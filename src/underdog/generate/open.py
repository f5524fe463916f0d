"""Opening a model for use: a checkpoint folder, or a run that made one."""

from pathlib import Path

from underdog.artifacts.files import read_json
from underdog.errors import UserError, nearest
from underdog.generate.engine import Engine
from underdog.generate.sampling import Sampling
from underdog.generate.session import OptionError, Options, Served
from underdog.model.weights import load_pretrained
from underdog.tokens.tokenizer import Tokenizer

CONFIG = "config.json"
RUN = "run.json"
MODEL = "model"  # inside a run: a link to the folder that it exported


def open_model(path: Path | str) -> Served:
    """Loads a Hugging Face folder, or the model of a run (runs/<name>-<key>). It is talked to by the chat template that
    the folder brings.

    Raises:
        UserError: there is no such folder, the run has no model yet, or the folder is damaged or has no template.
    """
    path = Path(path)
    folder = _checkpoint(path)
    try:
        tokenizer = Tokenizer.load(folder)
        tokenizer.template_for(tools=False)
    except UserError as problem:
        raise UserError(f"{folder}: {problem}", hint=problem.hint) from None
    model = load_pretrained(folder)
    tokenizer.check_fits(model.config.vocabulary, folder)
    return Served(_name(path), Engine(model, tokenizer.turn_end), tokenizer, _defaults(folder))


def _checkpoint(path: Path) -> Path:
    """The folder with the weights."""
    if not path.exists():
        raise UserError(f"There is no folder {path}.", hint=_where(path))
    if not path.is_dir():
        raise UserError(
            f"{path} is a file; a model is a folder.",
            hint="Give the folder with config.json and model.safetensors, or the run that made it.",
        )
    if (path / RUN).exists():
        folder = path / MODEL
        if not (folder / CONFIG).exists():
            raise UserError(
                f"The run {path} has no finished model.",
                hint="Run its recipe again: it goes on where it stopped.",
            )
        return folder
    if not (path / CONFIG).exists():
        raise UserError(
            f"{path} is neither a checkpoint (it has no config.json) nor a run (it has no {RUN}).",
            hint=_where(path / "?"),
        )
    return path


def _where(path: Path) -> str:
    """The sibling that was meant, or what there is to choose from."""
    parent = path.parent
    children = parent.iterdir() if parent.is_dir() else ()
    models = {child.name: child for child in children if (child / RUN).exists() or (child / CONFIG).exists()}
    if guess := nearest(path.name, models):
        return f"Did you mean {models[guess]}?"
    if models:
        return f"In {parent} there are: {', '.join(sorted(models)[:8])}."
    return "Give a checkpoint folder, or the folder of a finished run (runs/<name>-<key>)."


def _defaults(folder: Path) -> Sampling:
    """How the model wants to be sampled, from generation_config.json."""
    path = folder / "generation_config.json"
    said = read_json(path) if path.exists() else {}
    try:
        options = Options(
            temperature=said.get("temperature") if said.get("do_sample", True) else 0.0,
            top_p=said.get("top_p"),
            top_k=said.get("top_k"),
        )
    except (OptionError, TypeError, AttributeError) as problem:
        raise UserError(f"{path}: {problem}") from None
    given = {name: getattr(options, name) for name in ("temperature", "top_p", "top_k")}
    return Sampling(**{name: value for name, value in given.items() if value is not None})


def _name(path: Path) -> str:
    """What the model answers to: its run's name, else its folder's."""
    for run in (path, path.parent if path.name == MODEL else path):
        if (run / RUN).exists():
            said = read_json(run / RUN)
            name = said.get("recipe", {}).get("name") if isinstance(said, dict) else None
            return name or run.resolve().name
    return path.resolve().name
