"""A server of vLLM's words, as far as rollouts use them, with the built-in engine behind it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from underdog.generate.engine import Engine
from underdog.generate.interface import Ending, Sampling
from underdog.model.decoder import Decoder
from underdog.model.weights import load_pretrained


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"data": [{"id": name, "max_model_len": self.server.context} for name in self.server.models]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
        self.server.asked.append((self.path, asked))
        if self.path in self.server.missing:
            self.send_error(404)
        elif self.path == "/collective_rpc":
            assert asked["method"] == "reload_weights"
            self.server.engine.model = load_pretrained(Path(asked["kwargs"]["weights_path"]))
            self.answer({"results": [None]})
        elif self.path == "/reset_prefix_cache":
            self.answer({"success": True})
        else:
            self.answer({"choices": list(self.choices(asked))[::-1]})

    def choices(self, asked):
        sampling = Sampling(asked["temperature"], max_new_tokens=asked["max_tokens"], seed=asked["seed"])
        with self.server.lock:
            (completions,) = self.server.engine.generate([asked["prompt"]], sampling, asked["n"])
        for index, one in enumerate(completions):
            reason = "stop" if one.ending is Ending.STOPPED else "length"
            ids = {"token_ids": one.ids} if asked["return_token_ids"] else {}
            yield {"index": index, **ids, "logprobs": {"token_logprobs": one.logprobs}, "finish_reason": reason}

    def answer(self, said):
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def served(model: Decoder, stop: int, context: int) -> Iterator[ThreadingHTTPServer]:
    """A server at its `url` that answers with `model` until it is given other weights; `asked` is all it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.engine, server.context = Engine(model, stop), context
    server.models, server.missing, server.asked, server.lock = ["policy"], set(), [], threading.Lock()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
