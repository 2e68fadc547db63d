"""Ctrl-C and SIGTERM to the real program: it says how to go on, and leaves no process behind."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

# A command whose work waits in processes of its own, as preprocessing does.
PROGRAM = """
import signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from plgg import api
from plgg.cli import main

def work(*_, **__):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(time.sleep, 600) for _ in range(4)]
        try:
            print("ready", file=sys.stderr, flush=True)
            waiting[0].result()
        finally:
            pool.shutdown(cancel_futures=True)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    api.check = work
    main()
"""
# Whoever runs the tests in the background may have told Ctrl-C to be ignored.
LISTENING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from plgg.cli import main; main()"
)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_says_how_to_go_on_and_leaves_no_process(number, status, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, program, "check", "manifest.csv", "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stderr.readline() == "ready\n"
    family = psutil.Process(running.pid)
    while len(family.children()) < 2:
        time.sleep(0.02)
    children = family.children(recursive=True)
    running.send_signal(number)
    out, err = running.communicate(timeout=500)
    assert running.returncode == status
    assert err == "plgg: stopped; repeat the command to go on from here\n"
    assert json.loads(out)["error"]["remedy"] == "Repeat the command to go on from here."
    assert not psutil.wait_procs(children, timeout=500)[1]


def workers_of(process):
    """Processes that were started to work, not Python's own helper."""
    return [one for one in process.children() if "spawn_main" in " ".join(words_of(one))]


def words_of(process):
    """How a process was started; nothing of one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_on_a_terminal_reaches_all_processes_and_shows_one_line(tmp_path):
    out = tmp_path / "patients"
    command = [sys.executable, "-c", LISTENING, "phantom", out, "--patients", "500"]
    running = subprocess.Popen(
        [*command, "--workers", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    family = psutil.Process(running.pid)
    while len(workers := workers_of(family)) < 2 and running.poll() is None:
        time.sleep(0.05)
    assert len(workers) == 2
    children = family.children(recursive=True)
    os.killpg(running.pid, signal.SIGINT)
    err = running.communicate(timeout=500)[1]
    assert running.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "plgg: stopped; repeat the command to go on from here"
    assert not psutil.wait_procs(children, timeout=500)[1]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    out = tmp_path / "patients"
    command = [sys.executable, "-m", "plgg", "phantom", out, "--patients", "500", "--workers", "2"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    family = psutil.Process(running.pid)
    while len(workers := workers_of(family)) < 2 and running.poll() is None:
        time.sleep(0.05)
    assert len(workers) == 2
    running.kill()
    running.wait()
    while any(map(works, workers)):
        time.sleep(0.05)


def works(process):
    """Whether a process runs; one that has ended may wait for somebody to take note."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
