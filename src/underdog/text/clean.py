"""Cleaning: what is no text goes out of a text; nothing that a reader would miss."""

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029]")
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ufff9-\ufffb]")
"""Control characters, soft hyphens, zero-width spaces, byte order marks. Joiners stay: emoji and Persian need them."""
_SPACES_AT_END = re.compile(r"(?<![ \t])[ \t]+\n")  # looks once at a run of spaces, however long
_BLANK_LINES = re.compile(r"\n{4,}")


def clean(text: str) -> str:
    """The text in Unicode's composed form (NFC), with "\\n" between lines, no white space at their ends, at most two
    blank lines in a row, and without invisible characters."""
    if "\r" in text or not text.isascii():
        text = _LINE_ENDS.sub("\n", text)
    text = _NO_TEXT.sub("", text)
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if " \n" in text or "\t\n" in text:
        text = _SPACES_AT_END.sub("\n", text)
    return _BLANK_LINES.sub("\n\n\n", text) if "\n\n\n\n" in text else text
