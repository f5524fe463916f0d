from pathlib import Path

import pytest

from underdog.generate.chat import TemplateChat
from underdog.generate.interface import Capabilities, Token
from underdog.generate.session import Served
from underdog.generate.torch_engine import TorchEngine
from underdog.model.decoder import Decoder
from underdog.model.weights import save_pretrained


@pytest.fixture(scope="session")
def model(tokenizer, tiny) -> Decoder:
    return tiny(vocabulary=tokenizer.vocabulary)


@pytest.fixture
def checkpoint(model, tokenizer, tmp_path) -> Path:
    save_pretrained(model, tokenizer, tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def served(model, tokenizer) -> Served:
    return Served("tiny", TorchEngine(model, tokenizer), TemplateChat(tokenizer))


class Scripted:
    """An engine that says what it is told to, whatever it is asked."""

    context = 1024
    capabilities = Capabilities()

    def __init__(self, ids, tokenizer):
        self.ids = ids
        self.tokenizer = tokenizer
        self.drawn = 0
        self.closed = False

    def stream(self, prompt, drawing):
        try:
            for token in self.ids[: drawing.sampling.max_new_tokens]:
                self.drawn += 1
                yield Token(self.tokenizer.pieces[token], closes=token in self.tokenizer.stops)
        finally:
            self.closed = True


@pytest.fixture
def scripted(tokenizer):
    """(text, whether its turn ends after it) -> a model in use that says the text."""

    def make(text: str, ends: bool = True) -> Served:
        return Served(
            "scripted",
            Scripted(tokenizer.encode(text) + [tokenizer.turn_end] * ends, tokenizer),
            TemplateChat(tokenizer),
        )

    return make
