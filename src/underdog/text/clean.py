"""Cleaning: what is no text goes out of a text; nothing that a reader would miss."""

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029]")
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ufff9-\ufffb]")
"""Control characters, soft hyphens, zero-width spaces, byte order marks. Joiners stay: emoji and Persian need them."""
_NO_ASCII_TEXT = bytes(code for code in range(128) if _NO_TEXT.match(chr(code)))
_BLANK_LINES = re.compile(r"\n{4,}")


def clean(text: str) -> str:
    """The text in Unicode's composed form (NFC), with "\\n" between lines, no white space at their ends, at most two
    blank lines in a row, and without invisible characters."""
    if text.isascii():  # bytes are faster
        text = text.replace("\r\n", "\n").replace("\r", "\n").encode().translate(None, _NO_ASCII_TEXT).decode()
    else:
        text = _NO_TEXT.sub("", _LINE_ENDS.sub("\n", text))
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
    if " \n" in text or "\t\n" in text:
        text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    return _BLANK_LINES.sub("\n\n\n", text) if "\n\n\n\n" in text else text
