"""Many texts at once through tiktoken: the ids of the tokenizers library, several times as fast.

The tokenizers library keeps track of where each token came from, which nobody asks of a corpus. tiktoken merges by the
same ranks, where a tokenizer is plain byte-level BPE; others stay with the library that reads them.
"""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

import tokenizers

from underdog.lanes import cores
from underdog.tokens.pieces import TokenBytes

EncodeMany = Callable[[Sequence[str]], list[list[int]]]


def fast_encoder(core: tokenizers.Tokenizer, patterns: Collection[str]) -> EncodeMany | None:
    """Texts to ids, control tokens in them as plain characters; None where tiktoken is not installed or would not be
    sure to give the same ids. `patterns` are those that both libraries split alike (tests/tokens/test_fast.py)."""
    pattern = _plain_pattern(json.loads(core.to_str()))
    if pattern not in patterns:
        return None
    try:
        import tiktoken
    except ImportError:
        return None
    added = core.get_added_tokens_decoder()
    marks = {token.content: number for number, token in added.items() if not token.special}
    pieces = TokenBytes(core)
    ranks = {pieces[number]: number for number in range(core.get_vocab_size()) if number not in added}
    coding = tiktoken.Encoding("own", pat_str=pattern, mergeable_ranks=ranks, special_tokens=marks)

    def encode_many(texts: Sequence[str]) -> list[list[int]]:
        return coding.encode_batch(list(texts), num_threads=cores(), allowed_special=set(marks), disallowed_special=())

    return encode_many


def _plain_pattern(definition: dict[str, Any]) -> str | None:
    """The pattern that texts are split by, where all else is bytes and merges in the order of their ids."""
    model, before = definition["model"], definition["pre_tokenizer"] or {}
    plain = model["type"] == "BPE" and not any(
        model.get(name) for name in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
    )
    trimmed = any(token["lstrip"] or token["rstrip"] or token["single_word"] for token in definition["added_tokens"])
    steps = [step["type"] for step in before.get("pretokenizers", ())]
    if not plain or trimmed or definition["normalizer"] or steps != ["Split", "ByteLevel"]:
        return None
    split, to_bytes = before["pretokenizers"]
    if split["behavior"] != "Isolated" or split["invert"] or to_bytes["add_prefix_space"] or to_bytes["use_regex"]:
        return None
    merged = [model["vocab"]["".join(pair)] for pair in model["merges"]]
    return split["pattern"].get("Regex") if merged == sorted(merged) else None
