"""The stages of a reinforcement run: which settings hold at which step."""

from collections.abc import Iterator
from dataclasses import dataclass

from underdog.recipe.reinforcement import Reinforce


@dataclass(frozen=True)
class Stage:
    """A run of steps under one set of settings."""

    name: str
    steps: range
    settings: Reinforce


def stages(settings: Reinforce) -> list[Stage]:
    """The run's stages in order; one that bears the section's name where the recipe has none."""
    if not settings.stage:
        return [Stage("reinforce", range(settings.steps), settings)]
    return list(_stages(settings))


def _stages(settings: Reinforce) -> Iterator[Stage]:
    done, first = 0.0, 0
    for change in settings.stage:
        done += change.share
        last = round(done * settings.steps)
        yield Stage(change.name, range(first, last), settings.of_stage(change))
        first = last


def stage_at(plan: list[Stage], step: int) -> Stage:
    """The stage that a step belongs to; past the last step, the last one."""
    return next((stage for stage in plan if step in stage.steps), plan[-1])
