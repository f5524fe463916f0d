"""GGUF files against llama.cpp itself, through its HTTP server on loopback."""

import json
import os
import random
import urllib.request
from dataclasses import replace

import pytest
import tokenizers
import torch

from underdog.errors import UserError
from underdog.generate.engine import Engine
from underdog.generate.interface import Sampling
from underdog.generate.llamacpp import LlamaCpp
from underdog.model import gguf
from underdog.model.decoder import Decoder
from underdog.model.gguf_reading import read_gguf
from underdog.tokens.chat import render
from underdog.tokens.folder import Beside
from underdog.tokens.messages import Message
from underdog.tokens.tokenizer import Tokenizer

os.environ["OMP_WAIT_POLICY"] = "passive"  # read when llama.cpp is loaded: its threads would spin otherwise
library = pytest.importorskip("gguf")
xllamacpp = pytest.importorskip("xllamacpp")

MODELS = [
    ("qwen2", True, "qwen2"),
    ("qwen3", True, "qwen2"),
    ("qwen3", False, "qwen2"),
    ("llama", True, "gpt-2"),
    ("llama", False, "llama-bpe"),
]


SCALINGS = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}


def shaped(tiny, family, tied=True, **changes):
    """A small decoder, also of a family that recipes do not train, or with other settings."""
    if family in ("llama", "qwen3") and not changes:
        return tiny(family, tied)
    config = replace(tiny("llama", tied).config, family=family, qkv_bias=family == "qwen2", **changes)
    model = Decoder(config)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(1.0 if name.endswith("norm.weight") else 0.0, 0.3, generator=generator)
    return model


@pytest.fixture
def foreign(tokenizer_for):
    """A tokenizer as Llama 3's: other special tokens than ours, and one that begins every text."""
    names = {"<|endoftext|>": "<|begin_of_text|>", "<|im_start|>": "<|start_header_id|>", "<|im_end|>": "<|eot_id|>"}
    text = tokenizer_for("llama-bpe").core.to_str()
    for ours, theirs in {**names, "<think>": "<|end_header_id|>", "</think>": "<|end_of_text|>"}.items():
        text = text.replace(ours, theirs)
    definition = json.loads(text)
    for token in definition["added_tokens"]:
        token["special"] = True
    template = (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}"
        "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n"
        "{% endif %}"
    )
    named = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    beside = Beside({"default": template}, named, files={"tokenizer_config.json": '{"add_bos_token": true}'})
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(definition)), beside)


class Server:
    """llama.cpp with one model."""

    def __init__(self, path):
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.port = 0
        params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it rounds to f16
        params.prefill_assistant, params.verbosity = False, 0
        self._server = xllamacpp.Server(params)

    def post(self, path, **body):
        request = urllib.request.Request(
            self._server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def continue_greedily(self, prompt, count):
        """Ids up to the first end of a turn or text."""
        return self.post("/completion", prompt=prompt, n_predict=count, temperature=0, return_tokens=True)["tokens"]

    def next_token(self, prompt, vocabulary):
        """Log-probabilities [vocabulary] of the token after a prompt.

        The bias makes the sampled token printable: those of a cut character are reported later or never. What
        is reported is the distribution before sampling.
        """
        body = {"prompt": prompt, "n_predict": 1, "n_probs": vocabulary, "logit_bias": [["a", 1000]]}
        (step,) = self.post("/completion", **body)["completion_probabilities"]
        logprobs = torch.full((vocabulary,), torch.nan)
        for one in step["top_logprobs"]:
            logprobs[one["id"]] = one["logprob"]
        return logprobs


@pytest.fixture(scope="module", params=MODELS, ids=lambda p: "-".join(map(str, p)))
def served(request, tiny, tokenizer_for, tmp_path_factory):
    """Model, tokenizer, and llama.cpp with the model's F32 and Q8_0 files."""
    family, tied, splitter = request.param
    model, tokenizer = shaped(tiny, family, tied), tokenizer_for(splitter)
    folder = tmp_path_factory.mktemp("gguf")
    servers = {}
    for kind in ("f32", "q8_0"):
        assert gguf.write_gguf(model, tokenizer, folder / f"{kind}.gguf", kind) == []
        servers[kind] = Server(folder / f"{kind}.gguf")
    return model, tokenizer, servers


def until(stops, ids):
    return ids[: next((place for place, token in enumerate(ids) if token in stops), len(ids))]


@pytest.fixture(scope="module")
def prompts():
    source = random.Random(3)
    return [source.choices(range(500), k=source.randint(1, 60)) for _ in range(6)]


def test_llama_cpp_tokenizes_alike(served, strings):
    _, tokenizer, servers = served
    for text in [*strings, "<think>2 + 2</think> 4", "x<|im_end|>\n<|im_start|>assistant\n"]:
        found = servers["f32"].post("/tokenize", content=text, add_special=True, parse_special=False)["tokens"]
        assert found == tokenizer.encode(text), repr(text)


def test_llama_cpp_continues_alike_in_f32(served, prompts):
    model, tokenizer, servers = served
    ours = Engine(model, stop=tokenizer.turn_end).generate(prompts, Sampling(0, max_new_tokens=40))
    found = [servers["f32"].continue_greedily(prompt, 40) for prompt in prompts]
    expected = [until({tokenizer.turn_end, tokenizer.end_of_text}, one.ids) for (one,) in ours]
    assert [until({tokenizer.turn_end, tokenizer.end_of_text}, ids) for ids in found] == expected
    assert sum(map(len, expected)) > 150


@pytest.mark.parametrize(("kind", "largest", "mean"), [("f32", 1e-4, 1e-5), ("q8_0", 1.0, 0.2)])
def test_llama_cpp_scores_alike(served, alone, prompts, kind, largest, mean):
    """In q8_0 it also rounds activations to 8 bits, so it differs a little even from our reading of the file."""
    model, _, servers = served
    for prompt in prompts:
        with torch.no_grad():
            hidden = alone(model, prompt)[-1:]
            expected = model.logits(hidden)[0].log_softmax(-1)
        error = (servers[kind].next_token(prompt, len(expected)) - expected).abs()
        assert expected.std() > 1
        assert error.max() < largest and error.mean() < mean


def test_llama_cpp_renders_chats_alike(served):
    _, tokenizer, servers = served
    messages = [
        Message("system", "Be brief. "),
        Message("user", " 2 + 2?\n"),
        Message("assistant", " 4 ", "2 + 2\n= 4"),
        Message("user", "Сколько?"),
        Message("assistant", "4", "the same "),
    ]
    for count in range(1, 6):
        asked = [{"role": one.role, "content": one.content} for one in messages[:count]]
        for message, one in zip(messages, asked, strict=False):
            if message.reasoning:
                one["reasoning_content"] = message.reasoning
        prompt = messages[count - 1].role == "user"
        text = servers["f32"].post("/apply-template", messages=asked, add_generation_prompt=prompt)["prompt"]
        found = servers["f32"].post("/tokenize", content=text, add_special=True, parse_special=True)["tokens"]
        assert found == render(messages[:count], tokenizer, generation_prompt=prompt)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_file_read_back(family, tied, tiny, tokenizer, tmp_path):
    model = shaped(tiny, family, tied)
    size = {}
    for kind, bound in (("f32", 0.0), ("f16", 2.0**-11), ("q8_0", 0.5 / 127 + 2.0**-11)):
        path = tmp_path / f"{kind}.gguf"
        assert gguf.write_gguf(model, tokenizer, path, kind) == []
        size[kind] = path.stat().st_size
        found = read_gguf(path)
        expected_config = {**vars(model.config), "norm_eps": pytest.approx(model.config.norm_eps)}
        assert vars(found.config) == expected_config
        parameters = dict(found.named_parameters())
        assert parameters.keys() == dict(model.named_parameters()).keys()
        for name, weight in model.named_parameters():
            most = 0.0 if weight.ndim == 1 else bound * weight.abs().max()
            assert (parameters[name] - weight).abs().max() <= most, name
    assert size["q8_0"] < 0.6 * size["f16"] + 10_000 < size["f32"]


def test_four_bits_by_llama_cpps_own_quantisers(alone, tiny, tokenizer, tmp_path):
    model = tiny("qwen3", width=256, ffn=512, layers=4, heads=4, head_width=64, context=64)
    path = tmp_path / "q4.gguf"
    assert gguf.write_gguf(model, tokenizer, path, "q4_k_m") == []
    types = {tensor.name: tensor.tensor_type.name for tensor in library.GGUFReader(path).tensors}
    assert types["token_embd.weight"] == "Q6_K"  # tied: it is the head too
    assert [types[f"blk.{layer}.attn_v.weight"] for layer in range(4)] == ["Q4_K", "Q4_K", "Q6_K", "Q6_K"]
    assert types["blk.3.attn_q.weight"] == types["blk.0.ffn_down.weight"] == "Q4_K"
    found = dict(read_gguf(path).named_parameters())
    for name, weight in model.named_parameters():
        error = (found[name] - weight).norm() / weight.norm()
        six = types[gguf.tensor_names(library, model.config)[name]] == "Q6_K"
        assert error < (1e-6 if weight.ndim == 1 else 0.025 if six else 0.09), name
    ours = read_gguf(path)
    with torch.no_grad():
        ours = ours.logits(alone(ours, [1, 2, 3]))[-1]
    theirs = Server(path).next_token([1, 2, 3], tokenizer.vocabulary)
    assert torch.corrcoef(torch.stack([ours.log_softmax(-1), theirs]))[0, 1] > 0.99


def test_rows_of_half_a_block_get_more_bits(tiny, tokenizer, tmp_path):
    model = tiny(width=64, ffn=40)
    gave_more = gguf.write_gguf(model, tokenizer, tmp_path / "q4.gguf", "q4_k_m")
    assert set(gave_more) == {name for name, weight in model.named_parameters() if weight.ndim == 2}
    types = {t.name: t.tensor_type.name for t in library.GGUFReader(tmp_path / "q4.gguf").tensors}
    assert [types[f"blk.0.{name}.weight"] for name in ("ffn_up", "ffn_down")] == ["Q5_0", "F16"]
    assert types["token_embd.weight"] == "Q8_0"


def test_rows_that_are_not_whole_blocks_stay_f16(tiny, tokenizer, tmp_path):
    model = tiny(ffn=40)
    path = tmp_path / "q8_0.gguf"
    expected = [f"model.layers.{layer}.mlp.down_proj.weight" for layer in (0, 1)]
    assert gguf.write_gguf(model, tokenizer, path, "q8_0") == expected
    types = {tensor.name: tensor.tensor_type.name for tensor in library.GGUFReader(path).tensors}
    assert (types["blk.0.ffn_down.weight"], types["blk.0.ffn_up.weight"]) == ("F16", "Q8_0")
    assert types["blk.0.attn_q_norm.weight"] == types["output_norm.weight"] == "F32"
    assert not Server(path).next_token([1, 2, 3], 500).isnan().any()
    assert gguf.write_gguf(model, tokenizer, tmp_path / "f16.gguf", "f16") == []


@pytest.mark.parametrize(
    ("family", "kind"),
    [("llama", "linear"), ("llama", "yarn"), ("llama", "llama3"), ("qwen2", "linear"), ("qwen2", "yarn")],
)
def test_rope_scalings(family, kind, alone, tiny, tokenizer, prompts, tmp_path):
    """As llama.cpp computes them, and as we read them back."""
    model = shaped(tiny, family, rope_scaling=SCALINGS[kind])
    path = tmp_path / "f32.gguf"
    gguf.write_gguf(model, tokenizer, path, "f32")
    server, again = Server(path), read_gguf(path)
    prompt = [*prompts[0], *prompts[1], *prompts[2]]
    with torch.no_grad():
        expected, found = (m.logits(alone(m, prompt)) for m in (model, again))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    error = server.next_token(prompt, len(expected[0])) - expected[-1].log_softmax(-1)
    assert error.abs().max() < 1e-4


@pytest.mark.parametrize(("kind", "bound"), [("bf16", 2.0**-8), ("q5_1", 0.05), ("q4_0", 0.15)])
def test_other_kinds_are_read(kind, bound, tiny, tokenizer, tmp_path):
    model = tiny()
    gguf.write_gguf(model, tokenizer, tmp_path / "x.gguf", kind)
    found = dict(read_gguf(tmp_path / "x.gguf").named_parameters())
    for name, weight in model.named_parameters():
        assert (found[name] - weight).abs().max() <= bound * weight.abs().max(), name


def test_figures_that_others_leave_out(tiny, tokenizer, tmp_path, monkeypatch):
    """The vocabulary's size, a head's width, the number of key heads, the base."""
    model = tiny("llama", kv_heads=4, rope_base=10_000.0)
    for left_out in ("vocab_size", "key_length", "head_count_kv", "rope_freq_base"):
        monkeypatch.setattr(library.GGUFWriter, f"add_{left_out}", lambda *_: None)
    gguf.write_gguf(model, tokenizer, tmp_path / "x.gguf", "f32")
    found = read_gguf(tmp_path / "x.gguf").config
    assert vars(found) == {**vars(model.config), "norm_eps": pytest.approx(1e-5)}


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_a_damaged_file(keep, tiny, tokenizer, tmp_path):
    path = tmp_path / "x.gguf"
    gguf.write_gguf(tiny(), tokenizer, path, "f32")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"x.gguf is not a whole GGUF file"):
        read_gguf(path)
    with pytest.raises(UserError, match="is missing"):
        read_gguf(tmp_path / "nowhere.gguf")


def test_what_a_file_cannot_say_is_refused(tiny, tokenizer, tmp_path):
    for family, changes, what in (
        ("mistral", {}, 'family "mistral" are not written'),
        ("qwen3", {"window": 8, "windowed": (True, False)}, "sliding windows"),
        ("llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ("llama", {"rope_scaling": {**SCALINGS["yarn"], "beta_fast": 8.0}}, "YaRN with settings"),
        ("qwen2", {"rope_scaling": SCALINGS["llama3"]}, "llama3"),  # llama.cpp has no place for it there
    ):
        with pytest.raises(UserError, match=what):
            gguf.write_gguf(shaped(tiny, family, **changes), tokenizer, tmp_path / "x", "f32")
    assert not (tmp_path / "x").exists()


def test_another_models_tokenizer_is_refused(tiny, tokenizer, tmp_path):
    with pytest.raises(UserError, match="The tokenizer has 500 tokens, the model 490"):
        gguf.write_gguf(tiny(vocabulary=490), tokenizer, tmp_path / "x.gguf", "f32")


def test_a_padded_vocabulary(tiny, tokenizer, tmp_path):
    path = tmp_path / "x.gguf"
    gguf.write_gguf(tiny(vocabulary=512), tokenizer, path, "f32")
    fields = library.GGUFReader(path)
    tokens, types = (fields.get_field(f"tokenizer.ggml.{name}").contents() for name in ("tokens", "token_type"))
    assert tokens[499:502] == [tokenizer.core.id_to_token(499), "[PAD500]", "[PAD501]"] and len(tokens) == 512
    assert set(types[500:]) == {library.TokenType.UNUSED} and library.TokenType.UNUSED not in types[:500]
    assert not Server(path).next_token([1, 2, 3], 512).isnan().any()


def test_a_tokenizer_of_others(tiny, foreign, tmp_path):
    """Its special tokens stay special, and the beginning's token stands where its family wants it."""
    path = tmp_path / "x.gguf"
    gguf.write_gguf(tiny("llama", vocabulary=foreign.vocabulary), foreign, path, "f32")
    fields = library.GGUFReader(path)

    def said(name):
        return fields.get_field(f"tokenizer.ggml.{name}").contents()

    named = {said("tokens")[said(f"{name}_token_id")] for name in ("bos", "eos")}
    assert named == {"<|begin_of_text|>", "<|eot_id|>"} and said("add_bos_token") is True
    special = {token for token, kind in zip(said("tokens"), said("token_type"), strict=True) if kind == 3}
    assert special == {token.content for token in foreign.core.get_added_tokens_decoder().values()}
    engine = LlamaCpp(path, 128, answers=1)
    asked = [Message("user", "hello world"), Message("assistant", "hi"), Message("user", "and?")]
    assert engine.prompt(asked, (), None).ids == render(asked, foreign, generation_prompt=True)
    engine.close()


def test_a_tokenizer_that_files_have_no_word_for(tiny, tokenizer, tmp_path):
    core = tokenizers.Tokenizer.from_str(tokenizer.core.to_str())
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    with pytest.raises(gguf.Unwritable, match="splits text by a pattern"):
        gguf.write_gguf(tiny(), Tokenizer(core), tmp_path / "x.gguf", "f32")
    assert not (tmp_path / "x.gguf").exists()


def test_without_the_library_the_error_says_what_to_install(tiny, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(UserError, match="gguf library") as error:
        gguf.write_gguf(tiny(), tokenizer, tmp_path / "x.gguf", "f32")
    assert "underdog[gguf]" in error.value.hint
