"""A sandbox on another machine: the hardened choice, for a machine that holds nothing of worth and reaches nothing.

`underdog sandbox` serves this machine's sandbox at POST /run: a job (job.py) as JSON in, a report out.
"""

import json
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from underdog.errors import UserError
from underdog.verify.sandbox.job import Job, Report
from underdog.verify.sandbox.local import GRACE, Local

_LARGEST = 64 << 20  # bytes of a job


class Remote:
    """Runs jobs where `url` says."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self.layers = [f"remote: {self.url}"]
        try:
            with urllib.request.urlopen(f"{self.url}/layers", timeout=GRACE) as answer:
                self.layers += json.load(answer)
        except (OSError, ValueError) as error:
            raise UserError(
                f"No sandbox answers at {url}: {error}.", hint="`underdog sandbox` on that machine starts one."
            ) from error

    def run(self, job: Job) -> Report:
        """A machine that does not answer costs one report, not the run."""
        body = json.dumps(job.message()).encode()
        request = urllib.request.Request(f"{self.url}/run", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=3 * (job.patience + GRACE)) as answer:
                return Report(**json.load(answer))
        except TimeoutError:
            return Report("timed out", [])
        except (OSError, ValueError, TypeError):
            return Report("crashed", [])

    def close(self) -> None:
        pass


def make_server(sandbox: Local, host: str, port: int) -> ThreadingHTTPServer:
    """A server that runs jobs for others; `serve_forever` starts it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, sandbox.layers) if self.path == "/layers" else self._answer(404, "GET /layers, POST /run")

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if self.path != "/run" or not 0 < length <= _LARGEST:
                return self._answer(404, "POST /run with a job as JSON")
            try:
                job = Job.of(json.loads(self.rfile.read(length)))
            except (ValueError, TypeError):
                return self._answer(400, "not a job")
            self._answer(200, vars(sandbox.run(job)))

        def _answer(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer((host, port), Handler)
