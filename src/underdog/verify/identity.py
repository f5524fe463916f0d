"""When are two problems the same? Splits rest on this."""

import hashlib
import unicodedata
from collections.abc import Iterable

from underdog.tokens.messages import Message


def normalised(text: str) -> str:
    """Unicode-, case- and space-folded text: what two equal texts share."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def problem_id(source: str, key: str) -> str:
    """Sixteen hexadecimal digits that equal or equivalent problems share.

    `key` is the canonical form: what is left of a problem when its wording and all that does not change the
    task are taken away (for countdown: the sorted numbers and the target). `source` keeps the keys of
    different tasks apart.
    """
    return hashlib.sha256(f"{source}\n{key}".encode()).hexdigest()[:16]


def prompt_key(prompt: Iterable[Message]) -> str:
    """The prompt's text, normalised: the second net, which also works between tasks and files."""
    return normalised("\n".join(f"{message.role}: {message.content}" for message in prompt))
