"""How a text is set: one form of each character, spaces, quotes, dashes. By rules alone; no word changes."""

import re
import unicodedata
from bisect import bisect

from underdog.tasks.normalize.place import Place

QUOTES = {"ru": "«»", "en": "“”"}
PAIRS = ('""', "„“", "„”", "“”", "«»")
MARK = re.compile('["„“”«»]')
UNBROKEN = re.compile(r"\S+")
RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"[\u200b\u2060\ufeff\u00ad]", ""),  # characters that nobody sees
        (r"\.{3,}", "…"),
        (r"[^\S\n]+", " "),
        (r" *\n *", "\n"),
        (r"\n{3,}", "\n\n"),
        (r"(?<=\w) +([,;:!?…)\]}])", r"\1"),
        (r"(?<=[^\W\d_]) +\.(?=\s|$)", "."),
        (r"([(\[{]) +", r"\1"),
        (r"(?<=[^\W\d_])([,;!?])(?=[^\W\d_])", r"\1 "),
        (r"([!?])\1{2,}", r"\1"),
        (r" (?:-|--|–) ", " — "),
        (r"(?<=\w)[’ʼ](?=\w)", "'"),
    )
)


def tidy(text: str, place: Place) -> str:
    """The text in NFC, with the quotes and spaces of its language. A second time it changes nothing."""
    last = None
    while text != last:
        last = text
        text = _once(unicodedata.normalize("NFC", text), QUOTES[place.language_of(text)])
    return text


def _once(text: str, quotes: str) -> str:
    for pattern, instead in RULES:
        addresses = addresses_in(text)

        def put(found: re.Match[str], instead: str = instead, addresses: list[tuple[int, int]] = addresses) -> str:
            before = bisect(addresses, (found.start(), len(found.string)))  # those that begin before it ends
            inside = before and found.end() <= addresses[before - 1][1]
            return found[0] if inside else found.expand(instead)

        text = pattern.sub(put, text)
    return _quoted(text, quotes).strip()


def addresses_in(text: str) -> list[tuple[int, int]]:
    """Where mail and web addresses stand, in their order."""
    if "@" not in text and "://" not in text:
        return []
    return [found.span() for found in UNBROKEN.finditer(text) if "@" in found[0] or "://" in found[0]]


def _quoted(text: str, quotes: str) -> str:
    """In one pair of quotes, where all of them are in pairs and none stands in another."""
    marks = "".join(MARK.findall(text))
    if any(marks[i : i + 2] not in PAIRS for i in range(0, len(marks), 2)):
        return text
    turn = iter(range(len(marks)))
    return MARK.sub(lambda found: quotes[next(turn) % 2], text)


FACT = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+|https?://\S+|\d+(?:[.,:/]\d+)*")


def facts(text: str) -> set[str]:
    """What no change of style may touch: numbers and addresses."""
    return {found[0].rstrip(".,") for found in FACT.finditer(text)}
