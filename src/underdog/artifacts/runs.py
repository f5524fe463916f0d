"""The folder of a run, as those see it who look for its model."""

from pathlib import Path

RECORD = "run.json"
MODEL = "model"  # a link to the folder that the run exported


def model_folder(path: Path) -> Path:
    """Where the checkpoint is: inside a run, or the folder itself."""
    return path / MODEL if (path / RECORD).exists() else path
