import pytest
import torch

from underdog.errors import UserError
from underdog.generate.engine import Engine
from underdog.generate.interface import Ending, Sampling
from underdog.model.attention import Packed, end_to_end

STOP = 7


@pytest.fixture
def model(tiny):
    """Wide enough scores that the likeliest id is clear, and a closing token that comes every few ids."""
    model = tiny(vocabulary=60, tied=False, width=32, heads=2, kv_heads=1, ffn=48, context=64)
    with torch.no_grad():
        model.lm_head.weight[STOP] *= 3
    return model


def prompts(count, longest=20, seed=1):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(8, 60, (length,), generator=generator).tolist() for length in lengths]


def logprobs_of(model, prompt, ids, temperature=1.0):
    """The model's own log-probabilities of a completion, read in one go."""
    whole = [*prompt, *ids]
    with torch.no_grad():
        scores = model.logits(model(torch.tensor(whole[:-1]), Packed(end_to_end([len(whole) - 1])))) / temperature
    return scores.log_softmax(-1)[len(prompt) - 1 :].gather(-1, torch.tensor(ids)[:, None]).squeeze(-1)


def greedy_by_hand(model, prompt, limit):
    ids = []
    while len(ids) < limit and STOP not in ids:
        with torch.no_grad():
            whole = torch.tensor([*prompt, *ids])
            ids.append(int(model.logits(model(whole, Packed(end_to_end([len(whole)]))))[-1].argmax()))
    return ids


def test_greedy_is_what_reading_everything_anew_would_give(model):
    asked = prompts(12)
    found = Engine(model, STOP).generate(asked, Sampling(0, max_new_tokens=16))
    expected = [greedy_by_hand(model, prompt, 16) for prompt in asked]
    assert [one.ids for (one,) in found] == expected
    assert {one.ending for (one,) in found} == {Ending.STOPPED, Ending.TRUNCATED}


@pytest.mark.parametrize("rows", [1, 2, 5, 8, 64])
def test_a_batch_is_what_its_prompts_give_one_at_a_time(model, rows):
    """Mixed lengths, rows that end early, and prompts that wait for a place."""
    asked = prompts(23)
    sampling = Sampling(0, max_new_tokens=20)
    alone = [Engine(model, STOP).generate([prompt], sampling)[0][0] for prompt in asked]
    together = Engine(model, STOP, rows=rows).generate(asked, sampling)
    assert [one.ids for (one,) in together] == [one.ids for one in alone]
    assert [one.ending for (one,) in together] == [one.ending for one in alone]


@pytest.mark.parametrize("rows", [8, 16, 64, 256])
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_log_probabilities_are_the_models_own(model, rows, temperature):
    """Many draws with all that happens to a batch: refills, growth, rows that are done and stay for a while."""
    asked = prompts(40)
    found = Engine(model, STOP, rows).generate(asked, Sampling(temperature, max_new_tokens=24, seed=rows), n=3)
    for prompt, completions in zip(asked, found, strict=True):
        for one in completions:
            expected = logprobs_of(model, prompt, one.ids, temperature)
            torch.testing.assert_close(torch.tensor(one.logprobs), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("rows", "n"), [(64, 1), (64, 5), (3, 5), (16, 3)])
def test_every_prompt_gets_n_answers_that_end_as_they_say(model, rows, n):
    asked = prompts(9)
    found = Engine(model, STOP, rows).generate(asked, Sampling(max_new_tokens=6), n)
    assert [len(completions) for completions in found] == [n] * 9
    for one in (one for completions in found for one in completions):
        assert len(one.ids) == len(one.logprobs) <= 6
        assert STOP not in one.ids[:-1]
        assert (one.ids[-1] == STOP) == (one.ending is Ending.STOPPED)
        assert one.ending is Ending.STOPPED or len(one.ids) == 6
    assert {one.ending for completions in found for one in completions} == {Ending.STOPPED, Ending.TRUNCATED}
    if n > 1:
        assert any(len({tuple(one.ids) for one in completions}) > 1 for completions in found)


def test_nothing_to_do(model):
    assert Engine(model, STOP).generate([], Sampling()) == []


def test_the_context_is_a_limit_too(model):
    asked = [[9] * 60, [9] * 63, [9] * 10]
    found = Engine(model, stop=-1).generate(asked, Sampling(max_new_tokens=20))
    assert [len(one.ids) for (one,) in found] == [4, 1, 20]
    assert all(one.ending is Ending.TRUNCATED for (one,) in found)


@pytest.mark.parametrize("length", [64, 65, 100])
def test_a_prompt_that_fills_the_context_is_refused(model, length):
    message = f"The prompt has {length} tokens; the model's context holds 64."
    with pytest.raises(UserError, match=message):
        Engine(model, STOP).generate([[9], [9] * length], Sampling())


def test_equal_seeds_give_equal_answers(model):
    asked = prompts(10)

    def ids(seed):
        answers = Engine(model, STOP, rows=8).generate(asked, Sampling(max_new_tokens=10, seed=seed), n=2)
        return [one.ids for completions in answers for one in completions]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_generating_leaves_no_gradient_and_the_weights_alone(model):
    before = [weight.detach().clone() for weight in model.parameters()]
    Engine(model, STOP).generate(prompts(4), Sampling(max_new_tokens=8), n=2)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), before, strict=True))
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_grouped_heads_and_both_families(tiny, family):
    model = tiny(family, vocabulary=60, tied=False, context=64)
    asked = prompts(6)
    found = Engine(model, STOP, rows=4).generate(asked, Sampling(0, max_new_tokens=10))
    assert [one.ids for (one,) in found] == [greedy_by_hand(model, prompt, 10) for prompt in asked]
