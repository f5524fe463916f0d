"""Refine: answers drafted, judged by a checklist and revised before SFT learns them (Nanbeige4-3B, SFT data)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from underdog.artifacts.store import Artifact, Draft
from underdog.recipe.synthesis import Refine
from underdog.synthesis.items import chosen
from underdog.synthesis.refine import GIVEN, Refiner, refined
from underdog.synthesis.through import take_through, teachers
from underdog.synthesis.work import Record
from underdog.tokens.conversation_files import Aside
from underdog.train.taught import conversations


def refine(settings: Refine, data: Sequence[str], problems: Artifact, own: Mapping[str, Path], out: Draft) -> None:
    """Writes the conversations in `data`, those that the settings choose with the best answer that was found.

    Args:
        own: models of this run, by what the settings call them.
    """
    aside: list[Aside] = []
    items = chosen(conversations(data, problems.path, aside), problems.path, settings)
    with teachers(settings, settings.models, own, out) as models:
        refiner = Refiner(
            drafters=[models[name] for name in settings.teachers],
            evaluators=[models[name] for name in settings.evaluators or settings.teachers],
            enough=settings.enough,
            least=settings.least,
            rounds=settings.rounds,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            words=settings.critique,
            seed=settings.seed,
        )
        records = take_through(items, aside, refiner.refine, refined, models, settings.failures, out)
    out.metrics["score"] = scores(records)
    out.metrics["rounds"] = mean([len(record["rounds"]) for record in records])


def scores(records: Sequence[Record]) -> dict[str, float]:
    """Mean scores, of those that were scored: of the answers that there were, and of the final ones."""
    given = [draft["score"] for one in records for draft in one["drafts"] if draft["by"] == GIVEN]
    final = [one["score"] for one in records if "score" in one]
    return {name: mean(values) for name, values in ((GIVEN, given), ("final", final)) if values}
