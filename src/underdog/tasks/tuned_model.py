"""A language model that was tuned to labels: its adapter and head, beside the base that it was tuned from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from underdog.errors import UserError
from underdog.generate.options import ContextFull
from underdog.model.checkpoint import open_checkpoint
from underdog.model.classifier import class_scores, load_classifier, save_classifier
from underdog.model.decoder import Decoder
from underdog.recipe.teaching import Adapter
from underdog.tasks.tuned import Tuned, write_about
from underdog.tokens.tokenizer import Tokenizer


class TunedModel(Tuned):
    def __init__(self, labels: Sequence[str], model: Decoder, tokenizer: Tokenizer, base: Path, adapter: Adapter):
        """`model` has its adapter and its head already."""
        super().__init__(labels)
        self.model, self._tokenizer, self._base, self._adapter = model, tokenizer, base, adapter

    def scores(self, texts: Sequence[str]) -> Any:
        ids = [text_ids(text, self._tokenizer, self.model.config.context) for text in texts]
        return class_scores(self.model, ids).double().numpy()

    def save(self, folder: Path) -> None:
        base, precision = str(self._base.resolve()), self._adapter.precision
        write_about(folder, labels=self.labels, temperature=self.temperature, base=base, precision=precision)
        save_classifier(self.model, self._adapter, str(self._base), folder)

    @classmethod
    def load(cls, folder: Path, about: Mapping[str, Any]) -> "TunedModel":
        """Raises UserError: the folder is damaged, or its base is no longer where it was."""
        base = Path(about["base"])
        if not base.exists():
            raise UserError(
                f"{folder} was tuned from {base}, which is not there.",
                hint='Put it back, or write where it is now into "base" of classifier.json.',
            )
        model, tokenizer = open_checkpoint(base)
        adapter = load_classifier(model, folder, about["precision"])
        found = cls(about["labels"], model, tokenizer, base, adapter)
        found.temperature = about["temperature"]
        return found


def text_ids(text: str, tokenizer: Tokenizer, context: int) -> list[int]:
    """What the model reads: the text behind its family's first token, where that has one.

    Raises:
        ContextFull: the text is longer than the context.
    """
    first, last = tokenizer.special_ids()["bos_token_id"], tokenizer.end_of_text
    ids = [*([] if first is None else [first]), *tokenizer.encode(text)]
    if len(ids) > context:
        words = f"A text has {len(ids):,} tokens; the model's context holds {context:,}."
        raise ContextFull("text", words, hint="Cut it.")
    return ids or [last]
