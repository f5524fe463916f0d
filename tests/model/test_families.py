"""Every family against transformers, in both directions: a tiny model with random weights gives the same scores."""

import random

import pytest
import torch

from underdog.model.attention import Packed, end_to_end
from underdog.model.cache import Cache, Decode, Prefill
from underdog.model.families import FAMILIES
from underdog.model.weights import load_pretrained, save_pretrained

transformers = pytest.importorskip("transformers")

SHAPE = {
    "vocab_size": 500,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
THETA = {"rope_theta": 20_000.0}
GEMMA = {"head_dim": 32, "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 24}
FACTORS = {"short_factor": [1.0 + i / 8 for i in range(8)], "long_factor": [1.5 + i for i in range(8)]}
SCALINGS = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    "yarn-mscale": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32,
        "beta_fast": 8.0,
        "beta_slow": 2.0,
        "mscale": 1.0,
        "mscale_all_dim": 0.5,
        "truncate": False,
    },
    "longrope": {"rope_type": "longrope", "original_max_position_embeddings": 32, "factor": 4.0, **FACTORS},
}
PHI3_LONG = {
    "rope_parameters": {"rope_type": "longrope", **FACTORS, "rope_theta": 10_000.0, "partial_rotary_factor": 0.75},
    "original_max_position_embeddings": 32,
    "hidden_size": 96,
}
PHI3_LONG["rope_parameters"] |= {key: [*value, 9.0] for key, value in FACTORS.items()}  # 9 of a head's 12 pairs turn
CASES = {
    "llama": ("llama", {"tie_word_embeddings": True}),
    "llama with biases": ("llama", {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"}),
    **{f"llama, {name}": ("llama", {"rope_parameters": {**THETA, **one}}) for name, one in SCALINGS.items()},
    "mistral": ("mistral", {"sliding_window": 20, "head_dim": 32}),
    "mistral without a window": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2 with windows": ("qwen2", {"use_sliding_window": True, "sliding_window": 20, "max_window_layers": 1}),
    "qwen2, yarn": ("qwen2", {"rope_parameters": {**THETA, **SCALINGS["yarn"]}}),
    "qwen3": ("qwen3", {"head_dim": 32, "attention_bias": True}),
    "qwen3 with windows": (
        "qwen3",
        {
            "use_sliding_window": True,
            "sliding_window": 20,
            "head_dim": 32,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
        },
    ),
    "gemma": ("gemma", {"head_dim": 32}),
    "gemma2": ("gemma2", {**GEMMA, "sliding_window": 20, "final_logit_softcapping": 9.0}),
    "gemma3": (
        "gemma3_text",
        {**GEMMA, "sliding_window": 20, "layer_types": ["sliding_attention"] * 2 + ["full_attention"]},
    ),
    "gemma3, linear": (
        "gemma3_text",
        {
            **GEMMA,
            "sliding_window": 20,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "phi3": ("phi3", {"sliding_window": 20}),
    "phi3, longrope": ("phi3", PHI3_LONG),
    "starcoder2": ("starcoder2", {"sliding_window": 20}),
    "starcoder2 untied": ("starcoder2", {"use_bias": False, "tie_word_embeddings": False}),
}
BY_LENGTH = ("dynamic", "longrope")  # their angles depend on the length
ALIKE_AT_ANY = pytest.mark.parametrize("pair", [name for name in CASES if not name.endswith(BY_LENGTH)], indirect=True)
LENGTHS = [150, 33, 7, 61]  # beyond the context, the windows and the original contexts, and within
IDS = torch.tensor(random.Random(0).choices(range(2, 500), k=sum(LENGTHS)))


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    """Their model, and the same one as we read it."""
    family, settings = CASES[request.param]
    folder = tmp_path_factory.mktemp("theirs")
    theirs = build(family, settings)
    theirs.save_pretrained(folder)
    return theirs, load_pretrained(folder)


def build(family, settings, seed=0):
    kind = transformers.CONFIG_MAPPING[family]
    config = kind(**{**SHAPE, **settings})
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.3) if weight.ndim == 1 else weight.normal_(0.0, 0.2)
    return model


@torch.no_grad()
def packed(ours, lengths=LENGTHS):
    """Our scores of the documents, packed."""
    return ours.logits(ours(IDS[: sum(lengths)], Packed(end_to_end(lengths)))).split(lengths)


def same(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_packed_documents_score_as_theirs_alone(pair):
    theirs, ours = pair
    for found, document in zip(packed(ours), IDS.split(LENGTHS), strict=True):
        expected = theirs(document[None]).logits[0]
        assert expected.std() > 0.5
        same(found, expected)
    assert ours.parameter_count() == theirs.num_parameters()


@torch.no_grad()
@ALIKE_AT_ANY  # else theirs takes the longest row's length for all
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_matter(pair, side):
    theirs, ours = pair
    rows = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.int64)
    mask = torch.zeros_like(rows)
    for row, document in enumerate(IDS.split(LENGTHS)):
        place = slice(0, len(document)) if side == "right" else slice(-len(document), None)
        rows[row, place], mask[row, place] = document, 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    expected = theirs(rows, attention_mask=mask, position_ids=positions).logits
    for row, found in enumerate(packed(ours)):
        same(found, expected[row, mask[row] == 1])


@torch.no_grad()
def test_generating_with_a_cache_scores_alike(pair):
    """Through the length at which a window or a scaling begins to matter."""
    theirs, ours = pair
    document, read = IDS[:48], 12
    cache = Cache(ours.config, [read], len(document) - read)
    found = [ours.logits(ours(document[:read], Prefill(cache)))]
    answer = theirs(document[None, :read], use_cache=True)
    expected = [answer.logits[0]]
    for step in range(read, len(document)):
        found.append(ours.logits(ours(document[step : step + 1], Decode(cache))))
        answer = theirs(document[None, step : step + 1], past_key_values=answer.past_key_values, use_cache=True)
        expected.append(answer.logits[0])
    same(torch.cat(found), torch.cat(expected))


@torch.no_grad()
@ALIKE_AT_ANY  # else keys keep the angles they were stored with, theirs too
def test_rows_of_mixed_length_generate_as_if_alone(pair, alone):
    _, ours = pair
    lengths, steps = [40, 3, 18], 8
    prompts, new = IDS[:61].split(lengths), IDS[100:124].view(3, steps)
    cache = Cache(ours.config, lengths, steps)
    ours(torch.cat(prompts), Prefill(cache))
    grown = torch.stack([ours.logits(ours(new[:, step], Decode(cache))) for step in range(steps)], dim=1)
    for row, prompt in enumerate(prompts):
        whole = torch.cat([prompt, new[row]])
        same(grown[row], ours.logits(alone(ours, whole))[len(prompt) :])


@torch.no_grad()
def test_our_folder_in_transformers(pair, tokenizer, tmp_path):
    theirs, ours = pair
    save_pretrained(ours, tokenizer, tmp_path)
    again = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, attn_implementation="eager"
    )
    assert type(again) is type(theirs) and type(again).__name__ == FAMILIES[ours.config.family].architecture
    for found, document in zip(packed(ours), IDS.split(LENGTHS), strict=True):
        same(found, again(document[None]).logits[0])
    assert load_pretrained(tmp_path).config == ours.config


def test_gradients_reach_every_weight(pair):
    _, ours = pair
    scores = ours.logits(ours(IDS[:66], Packed(end_to_end([33, 33]))))
    torch.nn.functional.cross_entropy(scores, IDS[1:67]).backward()
    assert not [name for name, weight in ours.named_parameters() if not weight.grad.abs().max() > 0]
    ours.zero_grad()


@torch.no_grad()
@pytest.mark.parametrize("name", ["qwen3", "gemma3, linear", "phi3, longrope", "starcoder2"])
def test_half_precision_stays_near(name, tmp_path):
    """Loaded as it is stored, read and generated from in bfloat16."""
    theirs = build(*CASES[name])
    expected = theirs(IDS[None, :40]).logits[0]
    theirs.bfloat16().save_pretrained(tmp_path)
    ours = load_pretrained(tmp_path, dtype=None)
    assert {weight.dtype for weight in ours.parameters()} == {torch.bfloat16}
    cache = Cache(ours.config, [39], 1, dtype=torch.bfloat16)
    found = [ours.logits(ours(IDS[:39], Prefill(cache))), ours.logits(ours(IDS[39:40], Decode(cache)))]
    error = (torch.cat(found).float() - expected).abs().mean() / expected.std()
    reference = (theirs(IDS[None, :40]).logits[0].float() - expected).abs().mean() / expected.std()
    assert error < 1.3 * reference + 1e-3
