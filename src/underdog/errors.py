"""Errors that a person can mend, and the guess at what they meant."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


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


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Around the imports that an extra brings: where one is missing, the error says what to install.

    with extra("tune", "Tuning"):
        from sklearn.svm import LinearSVC
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise UserError(
            f"{what} needs {missing.name}, which is not installed.", hint=f'pip install "underdog[{name}]"'
        ) from None
