"""The program itself: `plgg serve` as a process that answers, and what it refuses to begin."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from served import PATIENCE

from plgg.core.errors import ConfigError
from plgg.serve import options
from program import ONE_THREAD, one_line, plgg
from runs import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("model") / "run")


# Whoever runs the tests in the background may have told Ctrl-C to be ignored.
LISTENING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from plgg.cli import main; main()"
)


def started(work, run):
    command = [sys.executable, "-c", LISTENING, "serve", work, "--model", run, "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ONE_THREAD,
    )
    lines = [process.stdout.readline() for _ in range(3)]
    return process, lines


def ended(process, number):
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err


def test_the_program_answers_until_ctrl_c(tmp_path, run):
    process, lines = started(tmp_path / "work", run)
    try:
        token = lines[0].removeprefix("token: ").strip()
        link = lines[1].removeprefix("open: ").strip()
        place, _, secret = link.partition("#token=")
        assert secret == token
        assert len(token) >= 40
        assert lines[2].startswith("For research use only.")
        with httpx.Client(base_url=place, timeout=PATIENCE) as client:
            assert client.get("/api/v1/info").status_code == 401
            client.post("/api/v1/login", json={"token": token})
            assert client.get("/api/v1/info").json()["model"]["name"] == "run"
        second = plgg("serve", tmp_path / "work", "--model", run, "--port", 0, status=2)
        assert "in use by" in one_line(second)
        if sys.platform == "linux":
            held = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
            assert "libtorch" not in held
    finally:
        status, err = ended(process, signal.SIGINT)
    assert status == 130
    assert err == "plgg: stopped; repeat the command to go on from here\n"
    # The folder is free again, and its token another one.
    process, again = started(tmp_path / "work", run)
    status, _ = ended(process, signal.SIGTERM)
    assert status == 143
    assert again[0] != lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0", "--no-token"), "without a token"),  # noqa: S104
        (("--model", "nowhere"), "no checkpoint"),
        (("--store", "nowhere"), "is not a store"),
        (("--host", "no.such.host.invalid"), "cannot listen"),
        (("--port", "70000"), "65535"),
        (("--upload-gib", "nan"), "--upload-gib"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path, run, words, said):
    model = () if "--model" in words else ("--model", run)
    refused = plgg("serve", tmp_path / "work", *model, *words, status=2)
    assert said in one_line(refused)
    assert not (tmp_path / "work" / "jobs").exists()


def test_a_port_that_is_taken_is_told(tmp_path, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = plgg("serve", tmp_path / "work", "--model", run, "--port", port, status=2)
    said = one_line(refused)
    assert said.count(f"127.0.0.1:{port}") == 1
    assert "bind" not in said
    assert not (tmp_path / "work").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path, run):
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "mine.txt").write_text("mine", encoding="utf-8")
    refused = plgg("serve", tmp_path, "--model", run, "--port", 0, status=2)
    assert "which plgg did not write" in one_line(refused)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"cases"}


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("plgg.core.extras.find_spec", lambda name: None if name == "uvicorn" else 1)
    with pytest.raises(
        ConfigError, match=r'uvicorn is not installed. Run: pip install "plgg\[serve'
    ):
        options.require_extra()


def test_help_waits_for_no_server():
    heavy = (
        "import sys, plgg.cli.app; sys.exit(any(m in sys.modules for m in ('fastapi', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", heavy], check=False).returncode == 0
