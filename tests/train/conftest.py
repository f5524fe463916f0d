import random

import pytest
import torch

from underdog.train.batch import Answer, Example, Group

VOCABULARY = 40


@pytest.fixture
def model(tiny):
    """A decoder whose step takes milliseconds."""
    return tiny(vocabulary=VOCABULARY, width=32, heads=2, kv_heads=1, ffn=48)


@pytest.fixture(scope="session")
def examples():
    """Conversations of mixed lengths; the first token is never predicted, some of the rest are not either."""
    source = random.Random(1)

    def example(length):
        ids = source.choices(range(1, VOCABULARY), k=length)  # 0 is padding, whose gradient transformers drops
        return Example(ids, [False] + [source.random() < 0.7 for _ in ids[2:]] + [True])

    return [example(source.randint(2, 40)) for _ in range(12)]


@pytest.fixture(scope="session")
def groups():
    """Prompts with answers of mixed lengths, an advantage and a sampler's log-probability for each token."""
    source = random.Random(2)

    def answer(length):
        ids = source.choices(range(VOCABULARY), k=length)
        figures = {"advantage": source.gauss(0, 1), "sampled": source.gauss(-4, 1)}
        return Answer(ids, {name: [value] * length for name, value in figures.items()})

    return [
        Group(source.choices(range(VOCABULARY), k=prompt), [answer(source.randint(1, 30)) for _ in range(4)])
        for prompt in (1, 2, 17, 40)
    ]


@pytest.fixture(scope="session")
def gradients():
    """The gradients of a model's weights by name."""

    def of(model, loss):
        model.zero_grad(set_to_none=True)
        loss.backward()
        return {name: weight.grad.clone() for name, weight in model.named_parameters()}

    return of


@pytest.fixture(scope="session")
def same():
    """Whether two sets of tensors by name agree."""

    def check(one, other, atol=1e-5):
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], atol=atol, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")

    return check
