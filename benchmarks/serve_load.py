"""Clients that read cases of a reading room: errors, latency and requests a second.

    python benchmarks/serve_load.py SCAN... [--model RUN] [--clients 50] [--seconds 60]

SCANs are NIfTI files. They are uploaded to `plgg serve` on loopback, predicted, and read by all
clients at once, as a page reads them: the work list, a case, its thumbnail, a slice, its mask and
the scan itself. Once beside an idle queue, and once while the scans are predicted again and again.
The clients run on the same machine, and take their share of it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from plgg.core.environment import machine

API = "/api/v1"
PATHS = {
    "work list": "cases",
    "case": "cases/{id}",
    "thumbnail": "cases/{id}/thumbnail.png",
    "slice": "cases/{id}/slice.png?index={index}",
    "mask": "cases/{id}/mask.nii.gz",
    "scan": "cases/{id}/volume.nii.gz",
}
MULTIPART = "multipart/form-data; boundary=b"


class Server:
    """`plgg serve`, running."""

    def __init__(self, work: Path, model: str | None) -> None:
        words = [sys.executable, "-u", "-m", "plgg", "serve", str(work), "--port", "0"]
        words += ["--model", model] if model else []
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = ""
        while "#token=" not in said:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"the server ended: {said}")
            said += line
        self.token = re.search(r"token: (\S+)", said)[1]
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", said)[1])
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def connection(self) -> http.client.HTTPConnection:
        """A connection that is kept, as a browser keeps it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> dict:
        """One request by itself."""
        connection = self.connection()
        connection.request(method, f"{API}/{path}", body, self.headers(kind))
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {raw!r}")
        return json.loads(raw)

    def headers(self, kind: str = "application/json") -> dict[str, str]:
        """That show the token."""
        return {"Authorization": f"Bearer {self.token}", "Content-Type": kind}

    def upload(self, scan: Path) -> str:
        """Upload a scan; gives the name of the case."""
        body = (
            f'--b\r\nContent-Disposition: form-data; name="files"; filename="{scan.name}"\r\n\r\n'
        ).encode()
        body += scan.read_bytes() + b"\r\n--b--\r\n"
        return self.ask("POST", "cases", body, MULTIPART)["case"]["id"]

    def idle(self) -> bool:
        """Whether no job waits or runs."""
        queue = self.ask("GET", "info")["queue"]
        return queue["queued"] + queue["running"] == 0


class Client:
    """One client: reads what it draws until time is up."""

    def __init__(self, server: Server, cases: list[str], seed: int) -> None:
        self.server, self.cases, self.random = server, cases, random.Random(seed)  # noqa: S311
        self.times: list[tuple[str, float]] = []
        self.errors: list[str] = []

    def run(self, until: float) -> None:
        """Read."""
        connection = self.server.connection()
        while time.perf_counter() < until:
            name = self.random.choice([*PATHS])
            path = PATHS[name].format(
                id=self.random.choice(self.cases), index=self.random.randrange(20)
            )
            began = time.perf_counter()
            try:
                connection.request("GET", f"{API}/{path}", headers=self.server.headers())
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(f"{path}: {error!r}")
                connection.close()
                continue
            if answer.status != 200:
                self.errors.append(f"{path}: {answer.status}")
            self.times.append((name, time.perf_counter() - began))
        connection.close()


def loaded(server: Server, cases: list[str], n_clients: int, seconds: float) -> dict:
    """Let clients read for a while, and sum up."""
    clients = [Client(server, cases, seed) for seed in range(n_clients)]
    until = time.perf_counter() + seconds
    threads = [threading.Thread(target=client.run, args=(until,)) for client in clients]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    times = [one for client in clients for one in client.times]
    errors = [error for client in clients for error in client.errors]
    return {
        "requests": len(times),
        "requests_per_second": round(len(times) / took, 1),
        "errors": len(errors),
        "first_errors": errors[:3],
        "milliseconds": {name: _spread(times, name) for name in ("all", *PATHS)},
    }


def _spread(times: list[tuple[str, float]], name: str) -> dict[str, float]:
    chosen = [1000 * seconds for kind, seconds in times if name in ("all", kind)]
    p50, p95 = np.percentile(chosen, (50, 95)) if chosen else (0.0, 0.0)
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


@contextmanager
def busy(server: Server, cases: list[str]):  # noqa: ANN201
    """Predict the cases again and again, so that a job always runs."""
    stop = threading.Event()

    def again() -> None:
        while not stop.is_set():
            if server.idle():
                server.ask("POST", f"cases/{cases[0]}/predict", b"")
            stop.wait(0.5)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "work", options.model)
        try:
            cases = [server.upload(scan) for scan in options.scans]
            while not server.idle():
                time.sleep(0.5)
            states = {case["id"]: case["state"] for case in server.ask("GET", "cases")["cases"]}
            if set(states.values()) != {"done"}:
                raise SystemExit(f"not all were predicted: {states}")
            found = {"idle queue": loaded(server, cases, options.clients, options.seconds)}
            with busy(server, cases):
                found["running job"] = loaded(server, cases, options.clients, options.seconds)
        finally:
            server.process.terminate()
            server.process.wait()
    print(json.dumps(found, indent=2) if options.json else _table(found))


def _table(found: dict[str, dict]) -> str:
    lines = ["| ms: p50, p95 | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for name in ("all", *PATHS):
        cells = [one["milliseconds"][name] for one in found.values()]
        lines.append(f"| {name} | " + " | ".join(f"{c['p50']}, {c['p95']}" for c in cells) + " |")
    for name in ("requests per second", "requests", "errors"):
        cells = [str(one[name.replace(" ", "_")]) for one in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [str(one["first_errors"]) for one in found.values() if one["errors"]]
    return "\n".join([*lines, "", json.dumps(machine())])


if __name__ == "__main__":
    main()
