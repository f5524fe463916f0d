"""Nothing is left to keep: why, and which setting to look at."""

import json
from collections.abc import Sequence
from pathlib import Path

from underdog.errors import UserError
from underdog.recipe.schema import Curate
from underdog.text.funnel import Funnel
from underdog.text.rules import SETS
from underdog.text.summary import count_reasons

_LOOK_AT = {
    "short": "Lower curate.minimum_characters.",
    "language": 'curate.languages holds ISO codes: "en", "ru".',
    "repeated": "Raise curate.repeated_paragraphs or curate.repeated_lines; 0 switches them off.",
    "duplicate": "Name a source that has more text.",
    "near-duplicate": "Lower curate.near_duplicates, the share of shingles from which two are alike.",
    "contaminated": "Raise curate.decontaminate, or name other text: this holds the problems of the test.",
    "below": "Lower curate.thresholds, or leave them out: curate.keep takes shares.",
    **dict.fromkeys(SETS, "Loosen curate.limits, or name fewer curate.rules."),
}
"""By the first word of a reason, or what stands before its dot."""


def refuse_empty(funnel: Funnel, settings: Curate, rejects: Path) -> None:
    """Raises UserError where no document is left. `rejects`: rejects.jsonl."""
    if len(funnel.left):
        return
    named = ", ".join(settings.sources)
    if not len(funnel.ids):
        raise _nothing_read(named, settings.text_field, rejects.read_text(encoding="utf-8").splitlines())
    reasons = count_reasons(funnel.dropped)
    counted = ", ".join(f"{count} {kind}" for kind, count in reasons.items())
    commonest = next(iter(reasons)).split()[0].split(".")[0]
    raise UserError(f"No document of {named} is left: of {len(funnel.ids)}, {counted}.", hint=_LOOK_AT.get(commonest))


def _nothing_read(named: str, field: str, rejects: Sequence[str]) -> UserError:
    if not rejects:
        return UserError(f"curate.sources holds no documents: {named}.", hint="Name a source that has text.")
    first = json.loads(rejects[0])
    line = f" line {first['line']}" if first["line"] else ""
    unnamed = first["reason"] in (f'"{field}" is missing', f'no column "{field}"', f'"{field}" is not a string')
    return UserError(
        f"curate.sources holds no documents: {named}; {len(rejects)} bad records were set aside. "
        f"The first: {first['file']}{line}: {first['reason']}.",
        hint="curate.text_field says where records have their text." if unnamed else "Name a source that has text.",
    )
