import random

import pytest

from underdog.generate.chat import TemplateChat
from underdog.generate.interface import Capabilities, Token
from underdog.generate.session import Served
from underdog.generate.torch_engine import TorchEngine


@pytest.fixture(scope="session")
def real(tokenizer, tiny) -> Served:
    """A real model, if a senseless one."""
    return Served(
        "tiny", TorchEngine(tiny(vocabulary=tokenizer.vocabulary, context=1024), tokenizer), TemplateChat(tokenizer)
    )


class Says:
    """An engine that answers as a function of the prompt's text says."""

    context = 4096
    capabilities = Capabilities()

    def __init__(self, tokenizer, answer):
        self.tokenizer, self.answer = tokenizer, answer

    def stream(self, prompt, drawing):
        for token in self.tokenizer.encode(self.answer(self.tokenizer.decode(prompt))):
            yield Token(self.tokenizer.pieces[token])
        yield Token(closes=True)


@pytest.fixture
def says(tokenizer):
    return lambda answer: Served("says", Says(tokenizer, answer), TemplateChat(tokenizer))


WORDS = {
    "refund": "money back return refund paid",
    "lost": "card lost gone stolen wallet",
    "new": "new open account start",
}


def rows(count, seed=0):
    draw = random.Random(seed)
    labels = [draw.choice([*WORDS]) for _ in range(count)]
    return [" ".join(draw.choices(WORDS[label].split() + ["please", "my", "the"], k=6)) for label in labels], labels


@pytest.fixture(scope="session")
def labelled():
    """count, seed -> (texts, labels)"""
    return rows
