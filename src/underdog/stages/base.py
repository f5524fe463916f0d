"""Base: a checkpoint from elsewhere as the first artifact of a run."""

from pathlib import Path

from underdog.artifacts.store import LOG, MANIFEST, Draft
from underdog.model.weights import load_pretrained
from underdog.tokens.folder import MORE_TEMPLATES, TEMPLATE
from underdog.tokens.template import CHAT_TEMPLATE, PLAIN_TEMPLATE
from underdog.tokens.tokenizer import TURN_END, TURN_START, Tokenizer


def base(folder: Path, out: Draft) -> None:
    """Links the folder's files. A model without a chat template gets one: ChatML where it has the tokens, else plain
    lines that end in its own end of text.

    Raises:
        UserError: the folder is not a checkpoint that the decoder reads.
    """
    tokenizer, model = Tokenizer.load(folder), load_pretrained(folder)
    tokenizer.check_fits(model.config.vocabulary, folder)
    for path in sorted([*folder.iterdir(), *(folder / MORE_TEMPLATES).glob("*.jinja")]):
        if path.is_file() and path.name not in (MANIFEST, LOG):  # of a stage that made it
            link = out.path / path.relative_to(folder)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(path.resolve())
    if not tokenizer.beside.templates:
        chatml = all(tokenizer.core.token_to_id(token) is not None for token in (TURN_START, TURN_END))
        (out.path / TEMPLATE).write_text(CHAT_TEMPLATE if chatml else PLAIN_TEMPLATE, encoding="utf-8")
    out.metrics = {"parameters": model.parameter_count(), "from": str(folder), "family": model.config.family}
