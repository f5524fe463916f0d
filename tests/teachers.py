"""A teacher that is a real server of this project, with a small model that has learned to answer "7" to everything; and
servers that fail."""

import contextlib
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture(scope="session")
def seven(tiny, tokenizer, tmp_path_factory, random_text):
    """The folder of that model."""
    from underdog.model.weights import save_pretrained
    from underdog.recipe.schema import Optimizer
    from underdog.tokens.chat import rows
    from underdog.tokens.messages import Message
    from underdog.train.batch import Example, collate
    from underdog.train.objectives import next_token
    from underdog.train.trainer import Trainer

    model = tiny(vocabulary=tokenizer.vocabulary, width=32, layers=1, heads=2, kv_heads=1, ffn=64, context=8192)
    source = random.Random(1)
    trainer = Trainer(model, Optimizer(weight_decay=0.0), next_token)
    for _ in range(60):
        asked = [
            Message("user", random_text(source) + " ".join(random_text(source) for _ in range(3))) for _ in range(8)
        ]
        said = [rows([one, Message("assistant", "7")], tokenizer)[0] for one in asked]
        figures = trainer.update([collate([Example(one.ids, one.mask) for one in said])], lr=1e-2)
    assert figures["loss"] < 0.05
    folder = tmp_path_factory.mktemp("seven")
    save_pretrained(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def served(seven):
    """The address of a server of it."""
    pytest.importorskip("fastapi")
    from underdog.generate.open import open_model
    from underdog.serve.server import address, bind, build_server

    model = open_model(seven)
    listening = bind("127.0.0.1", 0)
    server = build_server(model)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield address(listening, "127.0.0.1").rstrip("/") + "/v1"
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def teacher(served, tmp_path):
    """(budget, folder of the cache) -> a teacher behind HTTP."""

    from underdog.generate.open import open_model
    from underdog.synthesis.asking import Teacher
    from underdog.synthesis.replies import Budget, Cache

    def make(budget=None, folder="cache", **settings):
        cache = Cache(tmp_path / folder / "replies.sqlite")
        return Teacher(open_model(served), cache, budget or Budget(), pause=0.01, **settings)

    return make


class Failing(BaseHTTPRequestHandler):
    """Lists a model, and fails each time it is asked, in the way that the server is told: status, words, seconds."""

    def do_GET(self):
        self._send(200, json.dumps({"data": [{"id": "failing"}]}))

    def do_POST(self):
        self.server.asked += 1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked did not wait
            status, body, *silent = self.server.fails
            time.sleep(sum(silent))
            self._send(status, body)

    def _send(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *said):
        pass


@pytest.fixture
def failing():
    """(status, body, seconds) -> context manager: a server that answers so; it counts in `asked`."""

    @contextlib.contextmanager
    def run(*fails):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
        server.fails, server.asked = fails, 0
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", server
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    return run


@pytest.fixture
def saying():
    """Text -> the events of a server whose model says it."""
    ends = '{"choices": [{"index": 0, "delta": %s, "finish_reason": "stop"}]}'
    return lambda text: f"data: {ends % json.dumps({'content': text})}\n\ndata: [DONE]\n\n"
