"""A model and its tokenizer from where a person has them: a Hugging Face folder, a run that made one, a GGUF file."""

from pathlib import Path

from underdog.artifacts.runs import model_folder
from underdog.errors import UserError
from underdog.model.decoder import Decoder
from underdog.model.gguf_reading import read_gguf
from underdog.model.weights import load_pretrained
from underdog.tokens.gguf import open_gguf, read_gguf_tokenizer
from underdog.tokens.tokenizer import Tokenizer


def open_checkpoint(path: Path) -> tuple[Decoder, Tokenizer]:
    """Weights as float32, whatever they are stored as.

    Raises:
        UserError: there is no model at `path`, or it is damaged or of a kind that is not read.
    """
    if path.suffix == ".gguf":
        reader = open_gguf(path)
        return read_gguf(path, reader), read_gguf_tokenizer(path, reader)
    path = model_folder(path)
    if not (path / "config.json").exists():
        hint = "Give a checkpoint folder, a finished run or a .gguf file."
        raise UserError(f"{path} is no checkpoint: it has no config.json.", hint=hint)
    model, tokenizer = load_pretrained(path), Tokenizer.load(path)
    tokenizer.check_fits(model.config.vocabulary, path)
    return model, tokenizer
