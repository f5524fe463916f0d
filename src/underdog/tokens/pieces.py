"""The bytes behind a token, so that text can be read while its tokens come."""

import json
import re

import tokenizers

_BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")  # a byte that SentencePiece's vocabulary spells out
_SPACE = "\u2581"  # SentencePiece's blank


class TokenBytes:
    """Token -> its bytes, of byte-level vocabularies (GPT-2's spelling of bytes) and of SentencePiece's; none for
    control tokens."""

    def __init__(self, core: tokenizers.Tokenizer):
        self._core = core
        self._added = core.get_added_tokens_decoder()
        self._byte_level = "ByteLevel" in json.dumps(json.loads(core.to_str()).get("decoder"))

    def __getitem__(self, token: int) -> bytes:
        if added := self._added.get(token):
            return b"" if added.special else added.content.encode()
        piece = self._core.id_to_token(token) or ""  # a model's vocabulary may be padded beyond the tokenizer's
        if self._byte_level:
            return bytes(_BYTE_OF[character] for character in piece)
        if found := _BYTE.fullmatch(piece):
            return bytes([int(found[1], 16)])
        return piece.replace(_SPACE, " ").encode()


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes: printable Latin-1 stands for itself, the rest is moved to U+0100 on."""
    printable = {byte for first, last in ("!~", "¡¬", "®ÿ") for byte in range(ord(first), ord(last) + 1)}
    moved = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(moved)}


_BYTE_OF = _byte_level_alphabet()
