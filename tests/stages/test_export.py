import json
from dataclasses import replace

import pytest
import torch

from underdog.artifacts.store import Artifact, Draft
from underdog.model.attention import Packed, end_to_end
from underdog.model.gguf_reading import read_gguf
from underdog.model.weights import load_pretrained, save_pretrained
from underdog.recipe.schema import Export, Recipe
from underdog.stages.export import chat_difference, export, foreseen, logit_error, own_texts

FILES = (
    "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    "chat_template.jinja",
)  # fmt: skip

pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def checkpoint(tiny, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "reinforce-0123"
    save_pretrained(tiny(ffn=80), tokenizer, folder)
    (folder / "manifest.json").write_text("{}")
    (folder / "log.jsonl").write_text("{}\n")
    return Artifact(folder, {"key": "0123", "stage": "reinforce", "metrics": {}})


def run(checkpoint, formats, path):
    path.mkdir()
    seen = []
    draft = Draft(path, on_progress=lambda done, total, note: seen.append((done, total)))
    export(Export(formats=formats), checkpoint, draft)
    return draft, seen


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    return run(checkpoint, ["f32", "f16", "q8_0"], tmp_path_factory.mktemp("store") / "export")


def test_the_folder_and_the_files(checkpoint, exported):
    draft, progress = exported
    assert {str(path.relative_to(draft.path)) for path in draft.path.rglob("*") if path.is_file()} == {
        *(f"huggingface/{name}" for name in FILES),
        *("f32.gguf", "f16.gguf", "q8_0.gguf"),
    }
    for name in FILES:
        assert (draft.path / "huggingface" / name).read_bytes() == (checkpoint.path / name).read_bytes()
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    metrics = json.loads(json.dumps(draft.metrics))
    for kind in ("f32", "f16", "q8_0"):
        assert metrics["bytes"][kind] == (draft.path / f"{kind}.gguf").stat().st_size
    sizes = [(checkpoint.path / name).stat().st_size for name in FILES]
    assert metrics["bytes"]["huggingface"] == sum(sizes)
    assert metrics["in_more_bits"]["q8_0"] == [f"model.layers.{layer}.mlp.down_proj.weight" for layer in (0, 1)]


def test_how_far_each_file_is_from_the_checkpoint(checkpoint, exported, tokenizer):
    draft, _ = exported
    f32, f16, q8_0 = (draft.metrics["against_checkpoint"][kind] for kind in ("f32", "f16", "q8_0"))
    assert f32 == {"largest": 0.0, "mean": 0.0, "same_best_token": 1.0}
    assert 0 < f16["mean"] < q8_0["mean"] < 0.2
    assert 0 < f16["largest"] < q8_0["largest"] < 2
    assert 0.9 < q8_0["same_best_token"] < f16["same_best_token"] <= 1

    # and again by hand, over all texts in one piece
    model, other = load_pretrained(checkpoint.path), read_gguf(draft.path / "q8_0.gguf")
    texts = own_texts(model, tokenizer)
    assert draft.metrics["compared_tokens"] == sum(map(len, texts)) > 1000
    ids_N, attend = torch.cat(list(map(torch.tensor, texts))), Packed(end_to_end(list(map(len, texts))))
    with torch.no_grad():
        a, b = (one.logits(one(ids_N, attend)) for one in (model, other))
    assert q8_0["largest"] == pytest.approx((a - b).abs().max().item())
    assert q8_0["mean"] == pytest.approx((a - b).abs().mean().item(), rel=1e-4)
    assert q8_0["same_best_token"] == pytest.approx((a.argmax(-1) == b.argmax(-1)).float().mean().item())


def test_a_file_that_is_not_the_checkpoint_is_seen(checkpoint, tokenizer, tiny):
    model = load_pretrained(checkpoint.path)
    other = tiny(ffn=80, seed=2)
    error = logit_error(model, other, own_texts(model, tokenizer, count=2))
    assert error["mean"] > 1 and error["same_best_token"] < 0.1


def test_the_texts_are_the_same_every_time_and_fit_the_context(tiny, tokenizer):
    model = tiny(context=40)
    texts = own_texts(model, tokenizer, count=5)
    assert texts == own_texts(model, tokenizer, count=5)
    assert len(texts) == len(set(map(tuple, texts))) == 5
    assert max(map(len, texts)) == 40
    opening = [tokenizer.turn_start, *tokenizer.encode("user\n")]
    assert all(ids[: len(opening)] == opening for ids in texts)


def test_only_the_folder(checkpoint, tmp_path):
    draft, _ = run(checkpoint, [], tmp_path / "out")
    assert [path.name for path in draft.path.iterdir()] == ["huggingface"]
    assert draft.metrics["against_checkpoint"] == {}


def test_weights_in_shards_and_what_a_family_brings_along(tiny, tokenizer, tmp_path):
    source = tmp_path / "sft-0123"
    save_pretrained(tiny(), tokenizer, source, shard_bytes=60_000)
    (source / "additional_chat_templates").mkdir()
    for name in ("special_tokens_map.json", "additional_chat_templates/tool_use.jinja"):
        (source / name).write_text("{}")
    wanted = {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    (source / "manifest.json").write_text("{}")
    draft, _ = run(Artifact(source, {"key": "0123", "stage": "sft", "metrics": {}}), [], tmp_path / "out")
    folder = draft.path / "huggingface"
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == wanted
    assert len(wanted) > 10 and draft.metrics["bytes"]["huggingface"] == sum(map(len, wanted.values()))
    load_pretrained(folder)


def test_a_family_without_gguf_keeps_its_folder_and_says_why(tiny, tokenizer, tmp_path):
    source = tmp_path / "sft-0123"
    model = tiny("llama")
    model.config = replace(model.config, family="mistral")
    save_pretrained(model, tokenizer, source)
    draft, progress = run(Artifact(source, {"key": "0123", "stage": "sft", "metrics": {}}), ["f32"], tmp_path / "out")
    assert [path.name for path in draft.path.iterdir()] == ["huggingface"] and progress[-1] == (2, 2)
    assert draft.metrics["warnings"] == {"f32": 'not written: GGUF files of the family "mistral" are not written.'}
    (said,) = foreseen(Recipe(name="x", base=str(source)))
    assert said.startswith('export.formats: GGUF files of the family "mistral" are not written.')
    assert foreseen(Recipe(name="x", base=str(source), export={"formats": []})) == []


def test_a_chat_that_llama_cpp_reads_otherwise_is_named(exported, tokenizer):
    pytest.importorskip("xllamacpp")
    draft, _ = exported
    assert draft.metrics["warnings"] == {}
    path = draft.path / "q8_0.gguf"
    assert chat_difference(tokenizer, path, 64) is None
    other = tokenizer.with_template("<|im_start|>{% for m in messages %}{{ m.content }}{% endfor %}")
    assert "they part at token 2" in chat_difference(other, path, 64)
    assert "cannot load" in chat_difference(tokenizer, draft.path / "huggingface" / "config.json", 64)
