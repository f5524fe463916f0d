"""Whatever is kept in a cache, each answer comes out as if prompt and answer were read at once, alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from underdog.model.cache import Cache, Decode, Prefill

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=8)
SEEDS = st.integers(0, 1000)
FAMILIES = pytest.mark.parametrize("family", ["llama", "qwen3"])


@FAMILIES
@settings(max_examples=15, deadline=None)
@given(LENGTHS, st.integers(1, 3), st.integers(1, 6), SEEDS)
@torch.no_grad()
def test_generating_with_a_cache_is_reading_at_once(models, draw, alone, close, family, lengths, answers, steps, seed):
    model = models[family]
    prompts = draw(seed, sum(lengths)).split(lengths)
    new = draw(seed + 1, len(lengths) * answers, steps)
    cache = Cache(model.config, lengths, steps, answers)
    read = model(torch.cat(prompts), Prefill(cache)).split(lengths)
    grown = torch.stack([model(new[:, step], Decode(cache)) for step in range(steps)], dim=1)
    for row, answer in enumerate(new):
        prompt = row // answers
        expected = alone(model, torch.cat([prompts[prompt], answer]))
        close(torch.cat([read[prompt], grown[row]]), expected)
    assert cache.lengths.tolist() == [length + steps for length in lengths for _ in range(answers)]


@FAMILIES
@settings(max_examples=15, deadline=None)
@given(st.data())
@torch.no_grad()
def test_rows_of_a_cache_can_be_kept_copied_and_joined(models, draw, alone, close, family, data):
    model = models[family]
    texts, cache = [], None
    for turn in range(3):
        lengths = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=3), label="lengths")
        answers = data.draw(st.integers(1, 3), label="answers")
        fresh = Cache(model.config, lengths, data.draw(st.integers(9, 20), label="room"), answers)
        prompts = draw(turn, sum(lengths)).split(lengths)
        model(torch.cat(prompts), Prefill(fresh))
        texts += [prompt for prompt in prompts for _ in range(answers)]
        if cache is None:
            cache = fresh
        else:
            cache.join(fresh)
        rows = sorted(data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=6), label="rows"))
        cache.keep(torch.tensor(rows))
        texts = [texts[row] for row in rows]
        for step in range(data.draw(st.integers(0, 3), label="steps")):
            new = draw(100 * turn + step, len(texts))
            found = model(new, Decode(cache))
            texts = [torch.cat([text, token[None]]) for text, token in zip(texts, new, strict=True)]
            close(found, torch.stack([alone(model, text)[-1] for text in texts]))


@torch.no_grad()
def test_a_prompt_is_held_once_and_leaves_with_its_last_answer(models, draw):
    model = models["qwen3"]
    cache = Cache(model.config, [5, 9], room=4, answers=3)
    model(draw(1, 14), Prefill(cache))
    assert [len(k) for k in cache.prompts.k_RKCE] == [2] * model.config.layers
    cache.keep(torch.tensor([3, 5]))
    assert [len(k) for k in cache.prompts.k_RKCE] == [1] * model.config.layers
    assert cache.lengths.tolist() == [9, 9]
