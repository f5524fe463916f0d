"""Names of people. Latin ones: title, given, middle and family names, suffix, in this order and with their capitals
(nameparser). Russian ones: family name, given name, patronymic, in the nominative (pymorphy3)."""

import re
from functools import lru_cache
from itertools import product
from typing import Any

from underdog.tasks.normalize.place import Place, library

NAME = r"[^\d\n\"]{2,100}"
ORDER = ("Surn", "Name", "Patr")  # of a Russian name
CYRILLIC = re.compile(r"[а-яё]+(?:-[а-яё]+)*", re.I)


def names(text: str, place: Place) -> list[str]:
    """What a name may be: nothing, one, or several where a Russian surname's gender is open."""
    text = " ".join(text.split())
    if not text or re.search(r"[\d@/\\<>{}]", text):
        return []
    if CYRILLIC.search(text):
        return _russian(text)
    parsed = library("nameparser").HumanName(text)
    if any(part.isupper() or part.islower() for part in (parsed.first, parsed.last) if len(part) > 2):
        parsed.capitalize(force=True)
    parts = (parsed.title, parsed.first, parsed.middle, parsed.last, parsed.suffix)
    whole = " ".join(part for part in parts if part)
    return [whole] if parsed.first or parsed.last else []


def _russian(text: str) -> list[str]:
    """All parts in one gender, number and case, of which the nominative is taken."""
    words = re.sub(r"[.,;]", " ", text).split()
    if len(words) > 3 or not all(CYRILLIC.fullmatch(word) for word in words):
        return []
    readings: dict[str, float] = {}
    for parses in product(*(_parses(word) for word in words)):
        roles = [_role(parse) for parse in parses]
        if len(set(roles)) < len(roles) or not _agree(parses):
            continue
        forms = [parse.inflect({"nomn", "sing"}) for parse in parses]
        if all(forms):
            ordered = sorted(zip(roles, words, forms, strict=True), key=lambda part: ORDER.index(part[0]))
            whole = " ".join(_capitals(form.word) for _, _, form in ordered)
            score = 1.0
            for parse in parses:
                score *= parse.score
            readings[whole] = max(readings.get(whole, 0.0), score)
    as_it_is = [_capitals(word) for word in words]
    unknown = not all(morphology().word_is_known(word.lower()) for word in words)
    if readings and unknown and not any({*one.split()} == {*as_it_is} for one in readings):
        readings[" ".join(as_it_is)] = 0.0  # its case is a guess: it may stand in the nominative
    return sorted(readings, key=readings.__getitem__, reverse=True)


def _parses(word: str) -> list[Any]:
    parses = [parse for parse in morphology().parse(word.lower()) if _role(parse) and "plur" not in parse.tag]
    declined = [parse for parse in parses if "Name" in parse.tag and "Fixd" not in parse.tag]
    return [parse for parse in parses if not declined or "Name" not in parse.tag or parse in declined]


def _role(parse: Any) -> str | None:
    return next((role for role in ORDER if role in parse.tag), None)


def _agree(parses: Any) -> bool:
    genders = {parse.tag.gender for parse in parses} - {None, "ms-f"}
    return len(genders) <= 1 and len({parse.tag.case for parse in parses}) == 1


def _capitals(word: str) -> str:
    return "-".join(part.capitalize() for part in word.split("-"))


@lru_cache(1)
def morphology() -> Any:
    return library("pymorphy3").MorphAnalyzer()


def lemmas(word: str) -> list[str]:
    """Dictionary forms of a Russian word, the likeliest first."""
    return [parse.normal_form for parse in morphology().parse(word.lower())]
