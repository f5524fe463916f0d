"""Serving a model over HTTP."""

import errno
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from underdog.errors import UserError, extra
from underdog.generate.session import Model

if TYPE_CHECKING:
    import uvicorn

    from underdog.serve.guard import Limits

HOST = "127.0.0.1"
PORT = 8000


def serve(
    served: Model,
    host: str = HOST,
    port: int = PORT,
    on_ready: Callable[[str], None] = lambda address: None,
    limits: "Limits | None" = None,
) -> bool:
    """Serves until Ctrl-C. `on_ready` gets the address of the chat page; the API is below it, at /v1.

    True: a thread is still in the middle of a call of the model, for nobody; the process would wait for it at its end.

    Without keys in `limits`, whoever reaches a host other than this machine's own can use the model. Port 0 takes any
    that is free.

    Raises:
        UserError: the port is taken or not allowed, or the host is not one of this machine.
    """
    server = build_server(served, limits)
    listening = bind(host, port)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each chunk for a client that has just left
    try:
        on_ready(address(listening, host))
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # uvicorn has ended the answers in progress
    finally:
        listening.close()
    return server.config.app.state.line.busy


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; before anything slow is done, so that a busy port is known at once."""
    if not 0 <= port < 2**16:  # getaddrinfo would count modulo 2^16
        raise UserError(f"There is no port {port}; they end at 65535.")
    try:
        family, *_, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(name, family=family, backlog=128)
    except socket.gaierror as problem:
        raise UserError(f'The host "{host}" is not known: {problem.strerror}.', hint=f"Usual is {HOST}.") from None
    except OSError as problem:
        raise _cannot_listen(host, port, problem) from None


def _cannot_listen(host: str, port: int, problem: OSError) -> UserError:
    if problem.errno == errno.EADDRINUSE:
        free = _free_port(host, port)
        return UserError(f"Port {port} on {host} is in use.", hint=f"Port {free} is free." if free else None)
    if problem.errno == errno.EACCES:
        return UserError(f"Port {port} needs the rights of an administrator.", hint="Ports from 1024 on do not.")
    if problem.errno == errno.EADDRNOTAVAIL:
        return UserError(f"{host} is not an address of this machine.", hint=f"Usual is {HOST}.")
    return UserError(f"Cannot listen on {host}, port {port}: {problem.strerror}.")


def _free_port(host: str, port: int) -> int | None:
    """The next one that is free."""
    for candidate in range(port + 1, min(port + 50, 2**16)):
        try:
            socket.create_server((host, candidate), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except OSError:
            continue
        return candidate
    return None


def address(listening: socket.socket, host: str) -> str:
    """The URL of the page."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def build_server(served: Model, limits: "Limits | None" = None) -> "uvicorn.Server":
    """A server for sockets that are bound already; `should_exit` stops it."""
    with extra("serve", "Serving"):
        import uvicorn

        from underdog.serve.app import create_app
        from underdog.serve.guard import Limits

    limits = limits or Limits()
    app = create_app(served, limits)

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await app.state.line.drain(limits.grace, lambda: self.force_exit)  # a second Ctrl-C hurries it
            await super().shutdown(sockets)

    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=5,
        )
    )
