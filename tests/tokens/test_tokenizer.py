import hashlib
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.tokens.tokenizer import CONTROL, MARKS, SPLITTERS, Tokenizer

SPLITTER = pytest.mark.parametrize("splitter", SPLITTERS)
TRAIN = """
import hashlib, random
from underdog.tokens.tokenizer import Tokenizer
source = random.Random(0)
texts = [" ".join("".join(source.choices("abcd", k=3)) for _ in range(50)) for _ in range(100)]
print(hashlib.sha256(Tokenizer.train(texts, 400, "qwen2").core.to_str().encode()).hexdigest())
"""


@SPLITTER
@given(text=st.text())
def test_any_text_comes_back(tokenizer_for, splitter, text):
    tokenizer = tokenizer_for(splitter)
    if not any(token in text for token in CONTROL):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_vocabulary_is_what_was_asked_for(tokenizer):
    assert tokenizer.vocabulary == 500
    tokens = [tokenizer.core.id_to_token(index) for index in range(500)]
    assert len(set(tokens)) == 500 and None not in tokens
    assert tuple(tokens[:5]) == (*CONTROL, *MARKS)
    assert {tokenizer.core.decode([index]) for index in range(5, 261)} >= {chr(code) for code in range(32, 127)}


@SPLITTER
def test_saved_and_loaded(tokenizer_for, splitter, strings, tmp_path):
    tokenizer = tokenizer_for(splitter)
    tokenizer.save(tmp_path, context=128)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.splitter == splitter
    assert loaded.special_ids() == tokenizer.special_ids()
    assert loaded.encode_many(strings) == [tokenizer.encode(text) for text in strings]
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == 128


def test_training_gives_the_same_in_every_process():
    runs = [
        subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] and len(runs[0].strip()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize(
    ("splitter", "pieces"),
    [("qwen2", ["1", "2", "3", "4", "5"]), ("llama-bpe", ["123", "45"]), ("gpt-2", ["12345"])],
)
def test_how_numbers_are_split(splitter, pieces):
    tokenizer = Tokenizer.train(["12345"] * 10, 400, splitter)
    assert [tokenizer.decode([token]) for token in tokenizer.encode("12345")] == pieces


def test_no_text_can_forge_a_control_token(tokenizer):
    for token in CONTROL:
        text = f"a{token}b"
        assert tokenizer.core.token_to_id(token) not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_marks_are_single_tokens_that_survive_decoding(tokenizer):
    ids = tokenizer.encode("<think>2 + 2</think>4")
    assert (ids[0], ids[-2]) == (tokenizer.think, tokenizer.end_think)
    assert tokenizer.decode(ids) == "<think>2 + 2</think>4"
    framed = [tokenizer.turn_start, *ids, tokenizer.turn_end, tokenizer.end_of_text]
    assert tokenizer.decode(framed) == tokenizer.decode(ids)


def test_no_tokenizer_in_the_folder(tmp_path):
    with pytest.raises(UserError, match=r"has no tokenizer\.json"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"model": {"type": "BPE"}}'])
def test_a_file_that_is_no_tokenizer(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_splitter_that_llama_cpp_would_not_know(tokenizer, tmp_path):
    (tmp_path / "tokenizer.json").write_text(tokenizer.core.to_str().replace(r"(?i:'s|'t", r"(?i:'t|'s"))
    with pytest.raises(UserError, match="splits text by a pattern that this project does not know"):
        Tokenizer.load(tmp_path).splitter  # noqa: B018


def foreign(tokenizer, folder, **config):
    (folder / "tokenizer.json").write_text(tokenizer.core.to_str())
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return Tokenizer.load(folder)


def test_texts_are_not_cut_or_padded_as_transformers_was_last_asked_to(tokenizer, tmp_path):
    core = type(tokenizer.core).from_str(tokenizer.core.to_str())
    core.enable_truncation(4)
    core.enable_padding(length=4)
    core.save(str(tmp_path / "tokenizer.json"))
    found = Tokenizer.load(tmp_path)
    for text in ("a", "one two three four five"):
        assert found.encode(text) == found.encode_with_control(text) == tokenizer.encode(text)
    assert found.fingerprint == tokenizer.fingerprint


def test_what_a_family_brings_along_is_written_as_it_was(tokenizer, tmp_path):
    template = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    found = foreign(tokenizer, tmp_path, eos_token={"content": "<|endoftext|>"}, chat_template=template, own="x")
    assert (found.turn_end, found.end_of_text) == (tokenizer.turn_end, tokenizer.end_of_text)
    assert found.stops == {tokenizer.turn_end, tokenizer.end_of_text}
    out = tmp_path / "out"
    out.mkdir()
    found.save(out, context=1)
    assert (out / "tokenizer_config.json").read_text() == (tmp_path / "tokenizer_config.json").read_text()
    assert (out / "chat_template.jinja").read_text() == template
    assert Tokenizer.load(out).template_for(tools=False) == template


def test_a_template_of_its_own_for_tools(tokenizer, tmp_path):
    named = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
    found = foreign(tokenizer, tmp_path, chat_template=named, eos_token="<|endoftext|>")
    assert (found.template_for(tools=False), found.template_for(tools=True)) == ("a", "b")
    assert found.turn_end == found.end_of_text
    out = tmp_path / "out"
    out.mkdir()
    found.save(out, context=1)
    assert Tokenizer.load(out).beside.templates == {"default": "a", "tool_use": "b"}


def test_no_templates_name_leads_out_of_the_folder(tokenizer, tmp_path):
    with pytest.raises(UserError, match=r'the chat template\'s name "\.\./x" is none of a file'):
        foreign(tokenizer, tmp_path, chat_template=[{"name": "../x", "template": "a"}])


def test_a_base_model_has_no_template_and_says_so(tokenizer, tmp_path):
    base = foreign(tokenizer, tmp_path, eos_token="<|endoftext|>")
    with pytest.raises(UserError, match="has no chat template: it is a base model"):
        base.template_for(tools=False)
    assert base.turn_end == tokenizer.end_of_text


def test_all_stops_of_generation_config(tokenizer, tmp_path):
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 9]}')
    assert {7, 9} <= foreign(tokenizer, tmp_path, eos_token="<|endoftext|>").stops
