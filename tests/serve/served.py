"""A reading room that is open on a socket of this machine, and a client of it."""

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from plgg.serve.app import create_app
from plgg.serve.options import ServeOptions
from plgg.serve.room import Room
from plgg.serve.server import listen, server

TOKEN = "of-this-test"  # noqa: S105 - no secret
API = "/api/v1"
# What must happen is waited for so long; how long it takes says something of the machine.
PATIENCE = 500.0


@dataclass(frozen=True)
class Served:
    """An open reading room."""

    client: httpx.Client
    room: Room
    port: int

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def get(self, path, status=200, **more):
        return self.ask("GET", path, status, **more)

    def ask(self, method, path, status=200, **more):
        """Ask for a path of the API, and check the status."""
        answer = self.client.request(
            method, path if path.startswith("/") else f"{API}/{path}", **more
        )
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def other(self, **headers):
        """A client that shows nothing but these headers."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)

    def wait(self, job_id, seconds=PATIENCE):
        """The job once it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            job = self.get(f"jobs/{job_id}").json()
            if job["state"] in ("done", "failed", "cancelled"):
                return job
            time.sleep(0.1)
        raise AssertionError(f"the job did not end: {job}")


@contextmanager
def served(work, *models, token=TOKEN, **options):
    """Open a reading room in this process, on a free port."""
    chosen = ServeOptions(work=Path(work), models=tuple(models), token=token, port=0, **options)
    app = create_app(chosen)
    with listen("127.0.0.1", 0) as sock:
        running = server(app, chosen)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            _started(running)
            port = sock.getsockname()[1]
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE
            ) as client:
                yield Served(client, app.state.room, port)
        finally:
            running.should_exit = True
            thread.join()


def _started(running: uvicorn.Server):
    until = time.monotonic() + PATIENCE
    while not running.started:
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.01)


def raw(port, sent, *, seconds=PATIENCE):
    """What the server answers to these bytes, until it closes the connection or time is up."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(sent)
        heard = b""
        try:
            while piece := connection.recv(2**16):
                heard += piece
        except (TimeoutError, ConnectionError):
            pass
        return heard
