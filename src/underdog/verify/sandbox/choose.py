"""Which sandbox a run uses: said once, opened when the first code comes."""

import threading
from typing import Protocol

from underdog.errors import UserError
from underdog.lanes import cores
from underdog.verify.sandbox.job import Job, Report
from underdog.verify.sandbox.local import open_local
from underdog.verify.sandbox.remote import Remote


class Sandbox(Protocol):
    layers: list[str]

    def run(self, job: Job) -> Report: ...

    def close(self) -> None: ...


_choice = "auto"
_open: Sandbox | None = None
_lock = threading.Lock()


def choose_sandbox(choice: str) -> None:
    """ "auto": the strongest isolation of this machine; "weak": limits where there is none; or the URL of another's."""
    global _choice, _open
    if choice not in ("auto", "weak") and not choice.startswith(("http://", "https://")):
        raise UserError(f'sandbox = "{choice}" is no sandbox.', hint='Known: "auto", "weak", or a URL.')
    with _lock:
        if choice != _choice and _open is not None:
            _open.close()
            _open = None
        _choice = choice


def sandbox() -> Sandbox:
    """The chosen sandbox. Raises UserError where there is none."""
    global _open
    with _lock:
        if _open is None:
            remote = _choice.startswith("http")
            _open = Remote(_choice) if remote else open_local(_choice == "weak", cores())
        return _open
