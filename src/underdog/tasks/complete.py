"""The command that goes on with a text, or fills the gap in it."""

import sys
from collections.abc import Sequence
from typing import TextIO

from underdog.errors import UserError
from underdog.generate.open import open_model
from underdog.generate.options import Options


def complete_text(model: str, file: TextIO, here: str, tokens: int, temperature: float, stop: Sequence[str]) -> None:
    """Prints what is new, as it is drawn; a notice goes to the other stream."""
    try:
        text = file.read()
    except UnicodeDecodeError:
        raise UserError(f"{file.name} is not UTF-8.") from None
    if text.count(here) > 1:
        raise UserError(f"{file.name} has {text.count(here)} gaps ({here}); one can be filled at a time.")
    prefix, _, suffix = text.partition(here)
    options = Options(temperature, max_new_tokens=tokens, stop=tuple(stop))
    for delta in open_model(model).complete(prefix, options, suffix or None):
        print(delta.content, end="", flush=True)
        if delta.finish and delta.finish.notice:
            print(f"\n{delta.finish.notice}", file=sys.stderr)
