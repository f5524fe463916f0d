"""Filling in the middle: what stands before and behind a gap, as code models were trained to see it.

Bavarian et al. 2022, section 3 ("PSM"): a mark, the text before the gap, a mark, the text behind it, a mark, and then
the model writes. Families differ in their marks only; a tokenizer that has all three of a row is of that family.
"""

from collections.abc import Callable

from underdog.errors import UserError

MARKS = {
    "DeepSeek-Coder": ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    "StarCoder": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    "SantaCoder": ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    "Qwen-Coder": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
}


def infill_ids(
    prefix: str, suffix: str, token: Callable[[str], int | None], encode: Callable[[str], list[int]]
) -> list[int]:
    """The prompt, without what stands before every text.

    Args:
        token: the id of a control token, None where there is no such token.
        encode: ids of plain text, in which marks are characters.

    Raises:
        UserError: the model knows no marks for a gap.
    """
    for marks in MARKS.values():
        ids = [token(mark) for mark in marks]
        if None not in ids:
            before, behind, middle = ids
            return [before, *encode(prefix), behind, *encode(suffix), middle]
    raise UserError(
        "The model has no tokens for a gap in a text: it can only go on at its end.",
        hint=f"Models that fill gaps: {', '.join(MARKS)}.",
    )
