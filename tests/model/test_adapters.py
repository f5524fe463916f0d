import json

import pytest
import torch

from underdog.errors import UserError
from underdog.model.adapters import attach, load_adapter, merge, save_adapter
from underdog.model.attention import Packed, end_to_end
from underdog.model.fourbit import TABLES, FourBit, pack, unpack
from underdog.model.weights import load_pretrained, save_pretrained
from underdog.recipe.teaching import Adapter
from underdog.tokens.tokenizer import Tokenizer

IDS = torch.arange(3, 60)
KINDS = ("lora", "dora")


def logits(model):
    return model.logits(model(IDS, Packed(end_to_end([20, 37])))).detach()


def stirred(model, settings):
    """An adapter as if it had been trained: no matrix at its start."""
    attach(model, settings, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.1, generator=generator)
            if "magnitude" in name:
                weight.mul_(1.3)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_adapter_changes_nothing_and_alone_is_trained(tiny, kind):
    model = tiny()
    before = logits(model)
    attach(model, Adapter(kind=kind, rank=4), seed=1)
    torch.testing.assert_close(logits(model), before, atol=1e-4, rtol=1e-4)
    trained = {name.rpartition(".")[2] for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {"lora_A", "lora_B"} | ({"magnitude"} if kind == "dora" else set())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["float32", "nf4", "int4"])
@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_merged_is_applied(tiny, kind, precision, family):
    model = stirred(tiny(family=family), Adapter(kind=kind, rank=4, precision=precision))
    applied = logits(model)
    merge(model)
    torch.testing.assert_close(logits(model), applied, atol=2e-4, rtol=1e-4)
    assert {name for name, _ in model.named_parameters()} == {
        name for name, _ in tiny(family=family).named_parameters()
    }
    assert (applied - logits(tiny(family=family))).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_peft_computes_the_same_from_our_folder(tiny, tokenizer, tmp_path, kind):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    save_pretrained(tiny(), tokenizer, tmp_path / "base")
    settings = Adapter(kind=kind, rank=4, alpha=6.0, targets=["q_proj", "down_proj"])
    ours = stirred(tiny(), settings)
    save_adapter(ours, settings, str(tmp_path / "base"), tmp_path / "adapter")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    with torch.no_grad():
        expected = torch.cat([theirs(part[None]).logits[0] for part in IDS.split([20, 37])])
    torch.testing.assert_close(logits(ours), expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_rslora": True}])
def test_pefts_own_folder_is_read(tiny, tokenizer, tmp_path, options):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    save_pretrained(tiny(), tokenizer, tmp_path / "base")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=["v_proj", "up_proj"], init_lora_weights=False, **options
    )
    theirs = peft.get_peft_model(base, config)
    theirs.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        expected = torch.cat([theirs(part[None]).logits[0] for part in IDS.split([20, 37])])
    ours = load_pretrained(tmp_path / "base")
    load_adapter(ours, tmp_path / "adapter")
    torch.testing.assert_close(logits(ours), expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["nf4", "int4"])
def test_four_bits_hold_the_nearest_of_sixteen(kind):
    weight = torch.randn(7, 33, generator=torch.Generator().manual_seed(1))
    codes, scales = pack(weight, TABLES[kind])
    table = torch.tensor(TABLES[kind])
    found = unpack(codes, scales, table, (7, 33))
    scale = scales.repeat_interleave(64)[: 7 * 33].view(7, 33)
    nearest = (weight[..., None] - table * scale[..., None]).abs().amin(-1)
    torch.testing.assert_close((found - weight).abs(), nearest, atol=1e-6, rtol=0)
    assert codes.numel() == 4 * 32 and codes.dtype == torch.uint8
    error = float((found - weight).square().mean() / weight.square().mean())
    assert error < {"nf4": 0.012, "int4": 0.016}[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_base_in_bfloat16_differs_by_its_rounding_and_trains_float32(tiny, kind):
    """Forward and backward; the weights that are trained, and what goes from layer to layer, stay float32."""
    found = {}
    for precision in ("float32", "bf16"):
        model = stirred(tiny(), Adapter(kind=kind, rank=4, precision=precision))
        hidden = model(IDS, Packed(end_to_end([20, 37])))
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        assert {hidden.dtype} | {weight.dtype for weight in trained} == {torch.float32}
        found[precision] = [hidden.detach(), *torch.autograd.grad(hidden.square().sum(), trained)]
    for rough, exact in zip(found["bf16"], found["float32"], strict=True):
        off = (rough - exact).norm() / exact.norm()
        assert 0 < off < 0.05 and rough.dtype == torch.float32


def test_a_base_in_bfloat16_merges_to_what_it_computes(tiny):
    model = stirred(tiny(), Adapter(kind="lora", rank=4, precision="bf16"))
    applied = logits(model)
    merge(model)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert (logits(model) - applied).norm() / applied.norm() < 0.02


def test_a_packed_layer_has_the_gradient_of_its_matrix():
    layer = torch.nn.Linear(40, 24)
    packed = FourBit(layer, "nf4")
    x = torch.randn(5, 40, requires_grad=True)
    packed(x).square().sum().backward()
    found, x.grad = x.grad, None
    torch.nn.functional.linear(x, packed.weight, layer.bias).square().sum().backward()
    torch.testing.assert_close(found, x.grad)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"peft_type": "IA3"}, 'peft_type "IA3".*not supported'),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is not supported"),
        ({"alpha_pattern": {"q_proj": 64}}, "alpha_pattern is not supported"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern is not supported"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens is not supported"),
        ({"init_lora_weights": "pissa_niter_16"}, 'init_lora_weights "pissa_niter_16" is not supported'),
        ({"init_lora_weights": "olora"}, "olora.*not supported"),
        ({"r": None}, "lacks r"),
        ({"r": 0}, "impossible"),
        ({"lora_alpha": 0}, "impossible"),
        ({"target_modules": None}, "lacks.*target_modules"),
        ({"r": 8}, r"lora_A.weight has shape \(4, 64\), not \(8, 64\)"),
        ({"target_modules": ["q_prok"]}, 'no matrix "q_prok"'),
        ({"target_modules": ["q_proj"]}, "no place for"),
        ({"target_modules": ["q_proj", "k_proj", "v_proj"]}, "v_proj.lora_A.weight is missing"),
    ],
)
def test_an_adapter_that_does_not_fit(tiny, tmp_path, change, why):
    settings = Adapter(kind="lora", rank=4, targets=["q_proj", "k_proj"])
    save_adapter(stirred(tiny(), settings), settings, "base", tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=why):
        load_adapter(tiny(), tmp_path)


def test_a_file_that_holds_something_else(tiny, tmp_path):
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(UserError, match="does not hold a JSON object"):
        load_adapter(tiny(), tmp_path)


def test_a_folder_merged_by_the_command_line(tiny, tokenizer, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from underdog.cli import app

    settings = Adapter(kind="lora", rank=4)
    save_pretrained(tiny(), tokenizer, tmp_path / "base")
    adapted = stirred(tiny(), settings)
    save_adapter(adapted, settings, "base", tmp_path / "adapter")
    done = CliRunner().invoke(app, ["merge", *(str(tmp_path / name) for name in ("base", "adapter", "out"))])
    assert done.exit_code == 0, done.output
    torch.testing.assert_close(logits(load_pretrained(tmp_path / "out")), logits(adapted), atol=2e-4, rtol=1e-4)
    assert Tokenizer.load(tmp_path / "out").fingerprint == tokenizer.fingerprint
