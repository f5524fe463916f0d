"""What `underdog tune` wrote, opened: whichever of its classifiers is served."""

from pathlib import Path

from underdog.artifacts.files import read_json
from underdog.errors import UserError
from underdog.tasks.tuned import ABOUT, Tuned


def load_tuned(folder: Path) -> Tuned:
    """Raises UserError: the folder holds no classifier, or a damaged one."""
    if not (folder / ABOUT).exists():
        raise UserError(f"{folder} holds no tuned classifier: it has no {ABOUT}.", hint="underdog tune makes them.")
    about = read_json(folder / ABOUT)
    if served := about.get("served"):
        return load_tuned(folder / served)
    if "base" in about:
        from underdog.tasks.tuned_model import TunedModel

        return TunedModel.load(folder, about)
    from underdog.tasks.floor import Floor

    return Floor.load(folder, about)
