import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from underdog.errors import UserError
from underdog.model.weights import load_pretrained, save_pretrained, untie
from underdog.tokens.tokenizer import Tokenizer

FIRST = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def folder(tiny, tokenizer, tmp_path):
    save_pretrained(tiny(), tokenizer, tmp_path)
    return tmp_path


def edit_config(folder, **changes):
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value != "absent"}))


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def refused(folder, file, what):
    """Loading fails, names the file and says what to do."""
    with pytest.raises(UserError, match=what) as error:
        load_pretrained(folder)
    assert str(folder / file) in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_what_is_saved_is_what_is_loaded(family, tied, tiny, tokenizer, tmp_path):
    model = tiny(family, tied)
    save_pretrained(model, tokenizer, tmp_path)
    found = load_pretrained(tmp_path)
    assert found.config == model.config
    assert Tokenizer.load(tmp_path).core.to_str() == tokenizer.core.to_str()
    expected = dict(model.named_parameters())
    for name, weight in found.named_parameters():
        assert torch.equal(weight, expected.pop(name)) and weight.requires_grad, name
    assert not expected
    assert (found.lm_head.weight is found.model.embed_tokens.weight) == tied
    names = load_file(tmp_path / "model.safetensors").keys()
    assert ("lm_head.weight" in names) == (not tied)


@pytest.mark.parametrize("shard_bytes", [10**9, 10_000])
def test_a_head_of_its_own_changes_nothing(shard_bytes, tiny, tokenizer, tmp_path):
    model = tiny(tied=True, vocabulary=tokenizer.vocabulary)
    save_pretrained(model, tokenizer, tmp_path, shard_bytes)
    for _ in range(2):  # the second time there is nothing to do
        untie(tmp_path)
    found = load_pretrained(tmp_path)
    assert not found.config.tied and found.parameter_count() > model.parameter_count()
    assert torch.equal(found.lm_head.weight, model.lm_head.weight)


def test_saving_over_the_folder_that_was_loaded(folder, tokenizer):
    model = load_pretrained(folder)
    save_pretrained(model, tokenizer, folder)
    assert all(map(torch.equal, model.parameters(), load_pretrained(folder).parameters()))


def test_half_precision_is_read_as_float32(folder):
    edit_weights(folder, lambda weights: weights.update({name: w.bfloat16() for name, w in weights.items()}))
    assert {weight.dtype for weight in load_pretrained(folder).parameters()} == {torch.float32}


def test_a_tied_head_that_is_stored_all_the_same_is_left_aside(folder):
    edit_weights(folder, lambda w: w.update({"lm_head.weight": w["model.embed_tokens.weight"].clone()}))
    model = load_pretrained(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"nowhere/config.json is missing"):
        load_pretrained(tmp_path / "nowhere")


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=re.escape(f"{folder} has no model.safetensors")) as error:
        load_pretrained(folder)
    assert "Copy" in error.value.hint
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(UserError) as error:
        load_pretrained(folder)
    assert "Pickled weights are never read" in error.value.hint


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_file_that_was_cut_short(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, "model.safetensors", "is not a safetensors file")


def test_a_file_of_another_kind(folder):
    (folder / "model.safetensors").write_bytes(b"<html>404 not found</html>" * 100)
    refused(folder, "model.safetensors", "is not a safetensors file")


def test_a_missing_weight(folder):
    edit_weights(folder, lambda weights: weights.pop(FIRST))
    refused(folder, "model.safetensors", f"lacks the weight {FIRST}")


def test_a_weight_of_another_shape(folder):
    edit_config(folder, num_attention_heads=8)
    refused(folder, "model.safetensors", rf"{FIRST} has shape \(64, 64\); config.json calls for \(128, 64\)")


def test_a_wrong_vocabulary(folder):
    edit_config(folder, vocab_size=512)
    refused(
        folder, "model.safetensors", r"embed_tokens.weight has shape \(500, 64\); config.json calls for \(512, 64\)"
    )
    with pytest.raises(UserError) as error:
        load_pretrained(folder)
    assert "500 tokens is another vocabulary" in error.value.hint


def test_foreign_weights(folder):
    edit_weights(folder, lambda weights: weights.update({"model.layers.0.self_attn.q_proj.bias": torch.zeros(64)}))
    refused(folder, "model.safetensors", "q_proj.bias")


def test_a_head_that_is_said_to_be_tied_no_more(folder):
    edit_config(folder, tie_word_embeddings=False)
    refused(folder, "model.safetensors", r"lacks the weight lm_head.weight")


def test_config_that_is_not_json(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json is not valid JSON"):
        load_pretrained(folder)


def test_config_that_is_no_object(folder):
    (folder / "config.json").write_text("[]")
    refused(folder, "config.json", "does not hold a model's configuration")


@pytest.mark.parametrize(("family", "hint"), [("qwen4", 'Did you mean "qwen3"'), ("gpt_neox", "Known: gemma, gemma2")])
def test_a_foreign_family(folder, family, hint):
    edit_config(folder, model_type=family)
    refused(folder, "config.json", f'model family "{family}" is not supported')
    with pytest.raises(UserError) as error:
        load_pretrained(folder)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", "relu2"),
        ("rope_scaling", {"type": "mrope", "mrope_section": [4, 2, 2]}),
        ("rope_parameters", {"rope_type": "proportional", "partial_rotary_factor": 0.5}),
        ("quantization_config", {"quant_method": "fp8"}),
        ("use_bidirectional_attention", True),
    ],
)
def test_a_feature_that_the_decoder_lacks(folder, key, value):
    """Each would load and then give other numbers than it should."""
    edit_config(folder, **{key: value})
    refused(folder, "config.json", "not supported")


@pytest.mark.parametrize("key", ["hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings"])
@pytest.mark.parametrize("value", ["64", 0, -1, 1.5, True, [64]])
def test_a_size_that_is_no_size(folder, key, value):
    edit_config(folder, **{key: value})
    refused(folder, "config.json", f'"{key}" is ')


def test_a_size_that_is_missing(folder):
    edit_config(folder, intermediate_size="absent")
    refused(folder, "config.json", '"intermediate_size" is missing')


def test_sizes_that_may_be_missing(tiny, tokenizer, tmp_path):
    """Old Llama files say neither the width of a head nor the number of key heads."""
    model = tiny("llama", kv_heads=4)
    save_pretrained(model, tokenizer, tmp_path)
    edit_config(tmp_path, head_dim="absent", num_key_value_heads="absent", rope_theta=None)
    config = load_pretrained(tmp_path).config
    assert (config.head_width, config.kv_heads, config.rope_base) == (16, 4, 10_000.0)


LONG = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"rope_scaling": 4}, "the rope scaling is 4"),
        ({"rope_scaling": {"type": "linear"}}, 'rope scaling "linear" needs "factor"'),
        ({"rope_scaling": {"type": "linear", "factor": -1}}, '"factor" is -1'),
        ({"rope_scaling": {**LONG, "short_factor": 1.0}}, '"short_factor" is 1.0'),
        ({"rope_scaling": {**LONG, "long_factor": [2.0] * 7}}, '"long_factor" has 7 numbers; a head has 8 angles'),
        ({"use_sliding_window": True, "sliding_window": 8, "layer_types": 2}, '"layer_types" does not say'),
        (
            {"use_sliding_window": True, "sliding_window": 8, "layer_types": ["full_attention"]},
            '"layer_types" does not',
        ),
        ({"use_sliding_window": True, "sliding_window": -8, "max_window_layers": 0}, '"sliding_window" is -8'),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3"),
    ],
)
def test_settings_that_cannot_be(folder, changes, what):
    edit_config(folder, **({"layer_types": None} | changes))
    refused(folder, "config.json", what)
