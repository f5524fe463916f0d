"""Reconstruct: reasoning for answers that have none, before SFT learns them (Nanbeige4-3B, SFT data)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from underdog.artifacts.store import Artifact, Draft
from underdog.recipe.synthesis import OWN, Reconstruct
from underdog.synthesis.items import chosen
from underdog.synthesis.reconstruct import Reconstructor, reconstructed
from underdog.synthesis.through import take_through, teachers
from underdog.tokens.conversation_files import Aside
from underdog.train.taught import conversations


def reconstruct(
    settings: Reconstruct, data: Sequence[str], problems: Artifact, own: Mapping[str, Path], out: Draft
) -> None:
    """Writes the conversations in `data`; those without reasoning get some, or are left out where it fails its guards.

    Args:
        own: models of this run, by what the settings call them.
    """
    aside: list[Aside] = []
    items = chosen(conversations(data, problems.path, aside), problems.path, settings, lacking=True)
    with teachers(settings, settings.models, own, out) as models:
        worker = Reconstructor(
            teacher=models[settings.teacher],
            judge=models[settings.judge or settings.teacher],
            summarise=settings.summary and settings.teacher != OWN,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            attempts=settings.attempts,
            seed=settings.seed,
        )
        take_through(items, aside, worker.reconstruct, reconstructed, models, settings.failures, out)
