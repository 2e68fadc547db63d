"""`plgg serve` as a process of its own, to be killed with signal 9 and started again."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
from served import API, PATIENCE


class Process:
    """The command, started; `kill` ends it as a power cut would."""

    def __init__(self, work, models):
        words = [sys.executable, "-m", "plgg", "serve", str(work), "--port", "0"]
        for model in models:
            words += ["--model", str(model)]
        self.process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            # Its jobs are ended with it, if need be.
            start_new_session=True,
        )
        self.lines = []
        self.token = self._said(r"token: (\S+)")
        self.port = int(self._said(r"open: http://127\.0\.0\.1:(\d+)/"))
        # What it says later must be read, or it would wait for a reader.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        headers = {"Authorization": f"Bearer {self.token}"}
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=PATIENCE
        )

    def _said(self, pattern):
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.search(pattern, line)
            if found:
                return found[1]
        raise AssertionError(f"the server ended: {self.lines}")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_of):
        self.kill()

    def kill(self):
        """Kill the server alone, and wait until it is gone."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()

    def get(self, path):
        answer = self.client.get(f"{API}/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, path, good, seconds=PATIENCE):
        """The answer of a path once it is good."""
        until = time.monotonic() + seconds
        while not good(found := self.get(path)):
            assert time.monotonic() < until, found
            time.sleep(0.05)
        return found

    def send_half(self, head, body):
        """A connection over which half of a request was sent; the rest never comes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        lines = [
            *head,
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: Bearer {self.token}",
            f"Content-Length: {len(body)}",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body[: len(body) // 2])
        return connection
