"""Where and when a text was written: what dates, amounts and phone numbers mean depends on it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

from underdog.errors import UserError, did_you_mean, extra

LANGUAGES = ("en", "ru")
PREFER = ("current_period", "past", "future")


@dataclass(frozen=True)
class Place:
    """Where and when.

    Args:
        languages: the first one that fits a text's script is its language.
        region: ISO 3166 code: order of days and months, decimal comma, currency of "$", phone numbers without "+".
            None: what depends on it stays open.
        now: what "tomorrow" starts from.
        prefer: where a date without a year lies.

    Raises:
        UserError: a language or the region is not known.
    """

    languages: Sequence[str] = LANGUAGES
    region: str | None = None
    now: datetime = field(default_factory=lambda: datetime.now().replace(microsecond=0))
    prefer: str = "current_period"

    def __post_init__(self):
        if unknown := sorted({*self.languages} - {*LANGUAGES}):
            raise UserError(f'There are no rules for "{unknown[0]}".', hint=f"Known: {', '.join(LANGUAGES)}.")
        if self.prefer not in PREFER:
            raise UserError(
                f'A date cannot be preferred in the "{self.prefer}".', hint=did_you_mean(self.prefer, PREFER)
            )
        if not self.languages:
            raise UserError("Normalising needs a language.", hint=f"Known: {', '.join(LANGUAGES)}.")
        if self.region is not None:
            object.__setattr__(self, "region", self.region.upper())
        if self.region is not None and self.locale is None:
            words = f'There is no region "{self.region}" of which is known how people write there.'
            raise UserError(words, hint='ISO 3166 codes: "RU", "US", "GB", …')

    def language_of(self, text: str) -> str:
        cyrillic, latin = len(re.findall("[а-яё]", text, re.I)), len(re.findall("[a-z]", text, re.I))
        likely = "ru" if cyrillic > latin else "en" if latin > cyrillic else self.languages[0]
        return likely if likely in self.languages else self.languages[0]

    @cached_property
    def locale(self) -> Any:
        """How most people of the region write of whom CLDR says it; None without a region."""
        if self.region is None:
            return None
        babel, spoken = library("babel"), library("babel.languages").get_territory_language_info(self.region)
        for language in sorted(spoken, key=lambda language: -spoken[language]["population_percent"]):
            try:
                return babel.Locale.parse(f"{language}_{self.region}", resolve_likely_subtags=True)
            except babel.UnknownLocaleError:
                continue
        return None

    @property
    def decimal(self) -> str | None:
        """The mark before decimals."""
        return self.locale.number_symbols["latn"]["decimal"] if self.locale else None

    @property
    def day_first(self) -> bool | None:
        if self.locale is None:
            return None
        pattern = self.locale.date_formats["short"].pattern
        return pattern.find("d") < pattern.find("M")


def library(name: str) -> ModuleType:
    with extra("normalize", "Normalising"):
        return import_module(name)
