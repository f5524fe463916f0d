import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from underdog.errors import UserError
from underdog.model.weights import save_pretrained
from underdog.serve.server import address, bind, serve


def test_a_busy_port_is_named_and_another_suggested(tiny_served):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(UserError, match=f"^Port {port} on 127.0.0.1 is in use") as error:
            serve(tiny_served, port=port)
        suggested = int(error.value.hint.split()[1])
        bind("127.0.0.1", suggested).close()


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("no.such.host.invalid", 0, "is not known"),
        ("127.0.0.1", 70000, "no port 70000"),
        ("192.0.2.1", 0, "not an address"),
    ],
)
def test_what_cannot_be_bound_is_named(host, port, message):
    with pytest.raises(UserError, match=message):
        bind(host, port)


def test_addresses_of_both_families():
    with bind("127.0.0.1", 0) as listening:
        assert address(listening, "127.0.0.1") == f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        listening = bind("::1", 0)
    except UserError:
        pytest.skip("no IPv6 here")
    with listening:
        assert address(listening, "::1") == f"http://[::1]:{listening.getsockname()[1]}"


PROGRAM = """
import sys
from underdog.generate.open import open_model
from underdog.serve.server import serve
serve(open_model(sys.argv[1]), port=0, on_ready=lambda url: print(url, flush=True))
print("bye")
"""


def test_ctrl_c_ends_it_quietly_even_in_the_middle_of_an_answer(tiny_served, tmp_path):
    save_pretrained(tiny_served.engine.model, tiny_served.chat.tokenizer, tmp_path / "small")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path / "small"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        url = process.stdout.readline().strip()
        body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
            next(response.iter_lines())
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("bye\n", "")
    finally:
        process.kill()
        process.communicate()
