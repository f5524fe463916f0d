"""Errors that a person can mend, and the guess at what they meant."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What was wrong, where, and what to do about it.

    The command line prints it as one or two lines without a traceback and exits with code 2.
    """

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like `name`, or None when nothing is close."""
    found = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A hint that names the nearest choice, else lists them all."""
    choices = sorted(choices)
    guess = nearest(name, choices)
    return f'Did you mean "{guess}"?' if guess else f"Known: {', '.join(choices)}."
