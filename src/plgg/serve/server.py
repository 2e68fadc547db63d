"""`serve_room`: run the reading room on a socket until a signal stops it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from plgg.core.errors import ConfigError
from plgg.core.output import READING_ROOM, output_folder
from plgg.data.result import RESEARCH_ONLY
from plgg.serve.app import create_app
from plgg.serve.options import ServeOptions

_MAX_CONNECTIONS = 500
_END_SECONDS = 2


def protocol_with_timeout(seconds: float) -> type[H11Protocol]:
    """Make a uvicorn protocol that closes connections which send no request in time.

    Args:
        seconds: From the connection, or the last response, until the headers of the next request.
    """

    class PatientProtocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as asyncio has it
            super().connection_made(transport)
            self._wait_for_request()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._wait_for_request()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
            super().connection_lost(exc)

        def _wait_for_request(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
            self._deadline = self.loop.call_later(seconds, self._too_late, self.cycle)

        def _too_late(self, last: object) -> None:
            if self.cycle is last and not self.transport.is_closing():
                self.transport.abort()

    return PatientProtocol


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        ConfigError: If the address is not valid, or in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen there ({_reason(error)})",
            where=f"{host}:{port}",
            remedy="Choose another --host or --port, or end the server that listens there.",
        ) from error


def _reason(error: OSError | OverflowError) -> str:
    """The system's error text, without the address that Python appends."""
    return str(getattr(error, "strerror", None) or error).partition(" (while ")[0]


def serve_room(options: ServeOptions, say: Callable[[str], object]) -> None:
    """Open a reading room, print its link, and serve until a signal stops it.

    Args:
        options: Options of the room.
        say: Called with each line of the start message.

    Raises:
        PlggError: If the room cannot be opened.
    """
    app = create_app(options)
    # Bind the port first, so that no folder is made where it is in use.
    with listen(options.host, options.port) as sock, output_folder(options.work, READING_ROOM):
        app.state.room.work.make()
        for line in start_message(options, sock.getsockname()[1]):
            say(line)
        server(app, options).run(sockets=[sock])


def server(app: ASGIApp, options: ServeOptions) -> uvicorn.Server:
    """Make the uvicorn server, without access log and `Server` header."""
    config = uvicorn.Config(
        app,
        http=protocol_with_timeout(options.patience_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=_END_SECONDS,
    )
    return uvicorn.Server(config)


def start_message(options: ServeOptions, port: int) -> list[str]:
    """Lines to print at the start: the token, a link that holds it, and notes."""
    host = socket.gethostname() if options.host in ("0.0.0.0", "::") else options.host  # noqa: S104
    place = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    lines = [] if options.token is None else [f"token: {options.token}"]
    lines.append(f"open: {place}{'' if options.token is None else f'#token={options.token}'}")
    if not options.is_loopback:
        lines.append("Other machines can reach it, unencrypted: use a network that you trust.")
    return [*lines, RESEARCH_ONLY]
