"""Compiles the kernels of curation ahead of time, some 40 seconds of one core: `python -m underdog.warm`.

`make` runs it when it sets up. Without it the first curation of a checkout takes as much longer.
"""

import sys
import tempfile
from pathlib import Path

from underdog.artifacts.store import Store
from underdog.recipe.schema import Curate
from underdog.stages.curate import curate

_LINE = "A tokenizer cuts text into pieces that a model knows, and number {} of them is for what it has never seen. "
_ASKED = "Which of the numbers three, seven and eleven divide one thousand and one, and which of them do not?"


def warm() -> None:
    """Curates a few made-up documents, two of them alike, and throws them away."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(4):
            text = "\n\n".join(_LINE.format(7 * (number % 3) + line) * 3 for line in range(5))
            Path(folder, f"{number}.md").write_text(text + str(number), encoding="utf-8")
        settings = Curate(sources=[folder])
        Store(Path(folder, "store")).make(
            "curate", lambda out: curate(settings, {"item": _ASKED}, out), settings=settings.model_dump(), parents={}
        )


if __name__ == "__main__":
    sys.exit(warm())
