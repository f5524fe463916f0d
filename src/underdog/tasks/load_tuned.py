"""What `underdog tune` wrote, opened: whichever of its classifiers is served."""

from pathlib import Path
from typing import Any

from underdog.artifacts.files import read_json
from underdog.errors import UserError
from underdog.tasks.tuned import ABOUT, Tuned


def load_tuned(folder: Path) -> Tuned:
    """Raises UserError: the folder holds no classifier, or a damaged one."""
    folder, about = served(folder)
    if "base" in about:
        from underdog.tasks.tuned_model import TunedModel

        return TunedModel.load(folder, about)
    from underdog.tasks.floor import Floor

    return Floor.load(folder, about)


def served(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the classifier that is served, and what is said of it beside its weights: its labels among it.

    Raises:
        UserError: there is none.
    """
    if not (folder / ABOUT).exists():
        raise UserError(f"{folder} holds no tuned classifier: it has no {ABOUT}.", hint="underdog tune makes them.")
    about = read_json(folder / ABOUT)
    return served(folder / about["served"]) if about.get("served") else (folder, about)
