import pytest

from underdog.errors import UserError
from underdog.generate import footprint
from underdog.generate.footprint import Footprint
from underdog.generate.open import Loading, open_model
from underdog.model.gguf import write_gguf
from underdog.model.history import History


def test_a_folder_is_weighed_before_it_is_loaded(checkpoint, model, monkeypatch):
    seen = []
    opened = open_model(checkpoint, Loading(context=128, answers=3, cache="int8"), seen.append)
    (said,) = seen
    assert said == Footprint(4 * model.parameter_count(), History.bytes_per_token(model.config, True), 128, 3)
    assert opened.context == 128 and opened.capabilities.parallel == 3
    assert str(said).endswith(f"3 × 128 tokens of cache, {said.a_token:,} bytes each: 0.00 GB when full")
    with pytest.raises(UserError, match="has 256 tokens of context, not 512"):
        open_model(checkpoint, Loading(context=512))


def test_a_gguf_file_is_weighed_by_its_header(model, tokenizer, tmp_path):
    pytest.importorskip("gguf")
    path = tmp_path / "tiny.gguf"
    write_gguf(model, tokenizer, path, "q8_0")
    config = model.config
    said = footprint.of_gguf(path, 100, 4, "full")
    assert said == Footprint(path.stat().st_size, 2 * 2 * config.layers * config.kv_heads * config.head_width, 100, 4)
    assert footprint.of_gguf(path, 100, 4, "int8").a_token == round(said.a_token * 34 / 64)
    for damage in (b"", b"GGUF", path.read_bytes()[:60], b"NOPE" + path.read_bytes()[4:]):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"llama\.cpp cannot load"):
            footprint.of_gguf(path, 100, 4, "full")


def test_what_does_not_fit_is_refused_with_its_numbers(monkeypatch):
    monkeypatch.setattr(footprint, "free_memory", lambda: 10**9)
    Footprint(8 * 10**8, 1000, 1000, 64).check()
    with pytest.raises(UserError, match=r"needs 2.0 GB: 1.0 GB for its weights .* 10,000 .* 1.0 GB are free") as error:
        Footprint(10**9, 100_000, 10_000, 1).check()
    assert "--cache int8" in error.value.hint
    monkeypatch.setattr(footprint, "free_memory", lambda: None)
    Footprint(10**15, 1, 1, 1).check()  # nobody knows


def test_a_container_may_have_less_than_the_machine(tmp_path):
    assert footprint._free_of_container(tmp_path) is None  # there is none
    for what, said in {"max": "max", "current": "600", "stat": "anon 500\ninactive_file 100"}.items():
        (tmp_path / f"memory.{what}").write_text(f"{said}\n")
    assert footprint._free_of_container(tmp_path) is None  # it has no limit
    (tmp_path / "memory.max").write_text("1000\n")
    assert footprint._free_of_container(tmp_path) == 1000 - 600 + 100
    assert 0 < footprint.free_memory() < 2**60
