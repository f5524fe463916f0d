import contextlib
import threading
import time

import pytest

pytest.importorskip("fastapi")

from underdog.generate.chat import TemplateChat
from underdog.generate.interface import Capabilities, Token
from underdog.generate.session import Served
from underdog.generate.torch_engine import TorchEngine
from underdog.serve.server import address, bind, build_server


@pytest.fixture(scope="session")
def tiny_served(tokenizer, tiny) -> Served:
    """A real model, if a senseless one."""
    return Served("tiny", TorchEngine(tiny(vocabulary=tokenizer.vocabulary), tokenizer), TemplateChat(tokenizer))


class Scripted:
    """An engine that says `text` over and over, a token every `pause` seconds, and knows what happened to it."""

    context = 4096
    capabilities = Capabilities()

    def __init__(self, tokenizer, text: str, pause: float):
        self.ids = tokenizer.encode(text)
        self.end = tokenizer.turn_end
        self.pause = pause
        self.prompts: list[str] = []  # in the order of service
        self.tokenizer = tokenizer
        self.closed = threading.Semaphore(0)  # released once for every answer that ended

    def stream(self, prompt, drawing):
        self.prompts.append(self.tokenizer.decode(prompt))
        ids = self.ids if self.pause == 0 else self.ids * 1000
        try:
            for token in [*ids, self.end][: drawing.sampling.max_new_tokens]:
                time.sleep(self.pause)
                yield Token(self.tokenizer.pieces[token], closes=token in self.tokenizer.stops)
        finally:
            self.closed.release()


@pytest.fixture
def scripted(tokenizer):
    """(text, pause) -> a model that says the text; with a pause it goes on saying it."""

    def make(text: str, pause: float = 0.0) -> Served:
        return Served("scripted", Scripted(tokenizer, text, pause), TemplateChat(tokenizer))

    return make


@contextlib.contextmanager
def running(served: Served, limits=None):
    listening = bind("127.0.0.1", 0)
    server = build_server(served, limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield address(listening, "127.0.0.1"), server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def serving():
    """A model, limits -> context manager: (address, uvicorn's server) of a real server on a free port."""
    return running


@pytest.fixture(scope="session")
def api(tiny_served):
    """The address of a server of the real model."""
    with running(tiny_served) as (url, _):
        yield url
