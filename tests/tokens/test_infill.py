"""Prompts for gaps against transformers, which parses the published form as one text."""

import json

import pytest
import tokenizers
from tokenizers import AddedToken, processors

from underdog.errors import UserError
from underdog.tokens.infill import MARKS, infill_ids
from underdog.tokens.tokenizer import Tokenizer

PREFIX, SUFFIX = "def add(a, b):\n    return ", "\n\nprint(add(1, 2))  # <fim_suffix> is text here\n"
BEGIN = "<｜begin▁of▁sentence｜>"


@pytest.fixture(params=[(family, begins) for family in MARKS for begins in (False, True)], ids=str)
def coder(request, tokenizer, tmp_path):
    """A folder with the marks of a family, and its name; some families begin every text with a token."""
    family, begins = request.param
    core = tokenizers.Tokenizer.from_str(tokenizer.core.to_str())
    core.add_special_tokens([AddedToken(mark, special=True) for mark in (*MARKS[family], BEGIN)])
    if begins:
        core.post_processor = processors.TemplateProcessing(f"{BEGIN} $A", None, [(BEGIN, core.token_to_id(BEGIN))])
    core.save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": "<|endoftext|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path, family, begins


def test_the_prompt_is_the_familys(coder):
    transformers = pytest.importorskip("transformers")
    folder, family, begins = coder
    ours = Tokenizer.load(folder)
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    before, behind, middle = MARKS[family]
    ids = [*ours.opening, *infill_ids(PREFIX, SUFFIX, ours.core.token_to_id, ours.encode)]
    suffix = SUFFIX.replace("<fim_suffix>", "<fim suffix>")  # transformers would take it for the mark
    plain = [*ours.opening, *infill_ids(PREFIX, suffix, ours.core.token_to_id, ours.encode)]
    assert plain == reference(before + PREFIX + behind + suffix + middle)["input_ids"]
    assert ids.count(ours.core.token_to_id(behind)) == 1 and (ids[0] == ours.core.token_to_id(BEGIN)) == begins


@pytest.mark.parametrize(("said", "begins"), [(True, 1), (False, 0)])
def test_the_folder_says_what_every_text_begins_with(coder, said, begins):
    folder, _, _ = coder
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "add_bos_token": said}))
    ours = Tokenizer.load(folder)
    assert ours.opening == [ours.core.token_to_id(BEGIN)] * begins


def test_a_model_without_marks_fills_no_gaps(tokenizer):
    assert tokenizer.opening == []
    with pytest.raises(UserError, match="no tokens for a gap"):
        infill_ids("a", "b", tokenizer.core.token_to_id, tokenizer.encode)
