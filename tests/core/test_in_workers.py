"""Jobs in worker processes: whatever one does, the others are done, and it is told what it did."""

import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

import jobs
from plgg.core.errors import InputError, WorkerError
from plgg.core.worker import block_interrupts
from plgg.core.workers import in_workers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

# What is done -> what is said of it, and what kind of failure that is.
BAD = {
    "memory": ("it took more than 0.3 GiB of memory and was stopped", "memory"),
    "kill": ("its process was killed, as happens where memory runs out", "killed"),
    "crash": ("its process crashed (SIGSEGV)", "crashed"),
    "exit": ("its process ended by itself (status 3)", "crashed"),
    "sys-exit": ("its process ended by itself (status 4)", "crashed"),
    "told": ("a.nii: holds no brain. Look.", "error"),
    "cannot-cross": ("holds no brain.", "error"),
    "cannot-be-told": ("unexpected CannotBeToldError: it cannot be told", "error"),
    "two-lines": ("unexpected ValueError: one two", "error"),
    "no-memory": ("there is not enough memory for it", "error"),
    "deep": ("unexpected RecursionError: maximum recursion depth exceeded", "error"),
    "result-cannot-be-sent": ("unexpected ", "error"),
    "result-cannot-be-read": ("unexpected ValueError: invalid literal", "error"),
}
LIMITS = {"seconds": 300.0, "gib": 0.3}


def done(names, *, workers=2, start=jobs.pid, **limits):
    return list(in_workers(names, jobs.work, start=start, workers=workers, **limits))


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def all_bad(request):
    """Every bad job once, each between two good ones."""
    mixed = [("echo", "first")]
    for name in BAD:
        mixed += [name, ("echo", name)]
    return mixed, done(mixed, workers=request.param, **LIMITS)


def test_good_jobs_are_done_in_order_whatever_the_others_do(all_bad):
    mixed, found = all_bad
    assert len(found) == len(mixed)
    assert [outcome.result for outcome in found[::2]] == ["first", *BAD]
    assert {outcome.reason for outcome in found[::2]} == {None}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_job_is_told_by_what_it_did(all_bad, name):
    mixed, found = all_bad
    outcome = found[mixed.index(name)]
    reason, failure = BAD[name]
    assert outcome.reason.startswith(reason)
    assert "\n" not in outcome.reason
    assert (outcome.failure, outcome.result) == (failure, None)


def test_an_error_of_plgg_keeps_its_kind_and_its_parts(all_bad):
    mixed, found = all_bad
    outcomes = {name: found[mixed.index(name)] for name in BAD}
    for name in set(BAD) - {"told"}:
        assert outcomes[name].error is None, name
        with pytest.raises(WorkerError, match=re.escape(BAD[name][0])):
            outcomes[name].required()
    with pytest.raises(InputError) as raised:
        outcomes["told"].required()
    parts = (raised.value.what, raised.value.where, raised.value.remedy)
    assert parts == ("holds no brain", "a.nii", "Look.")
    assert found[0].required() == "first"


def test_no_process_is_left(all_bad):
    del all_bad
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_hangs_is_stopped_and_named(workers):
    first, hung, last = done([("echo", 1), "hang", ("echo", 2)], workers=workers, seconds=2.0)
    assert (hung.reason, hung.failure) == ("it took longer than 2 s and was stopped", "time")
    assert (first.result, last.result) == (1, 2)


def test_a_process_is_made_ready_once_and_is_not_this_one():
    found = {outcome.result for outcome in done(["state"] * 5, workers=1)}
    assert len(found) == 1
    assert os.getpid() not in found


def test_no_more_processes_than_jobs_are_started():
    assert done([], workers=4) == []
    (only,) = done(["state"], workers=4)
    assert only.result != os.getpid()


def test_a_job_that_was_killed_beside_others_is_tried_again_alone(tmp_path):
    names = [("killed-once", str(tmp_path / "mark")), *[("echo", n) for n in range(6)]]
    assert [outcome.result for outcome in done(names)] == ["alone", *range(6)]


def test_a_large_answer_crosses():
    big = "x" * 3_000_000
    assert [outcome.result for outcome in done([("echo", big)] * 3)] == [big] * 3


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_start_is_told_once_in_its_own_words(workers):
    with pytest.raises(InputError, match=r"^model: the network is damaged\. Copy it again\.$"):
        done(["state"] * 3, start=jobs.broken, workers=workers)
    with pytest.raises(WorkerError, match="cannot start: the network is damaged"):
        done(["state"] * 3, start=jobs.broken_and_not_to_be_sent, workers=workers)
    with pytest.raises(WorkerError, match="cannot start: its process was killed"):
        done(["state"] * 3, start=jobs.dead, workers=workers)
    assert not multiprocessing.active_children()


def test_who_stops_listening_stops_the_work():
    found = in_workers(["state", "hang", "hang"], jobs.work, start=jobs.pid, workers=2)
    process = psutil.Process(next(found).result)
    found.close()
    assert not process.is_running()
    assert not multiprocessing.active_children()


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import jobs
from plgg.core.workers import in_workers
print("ran")
for outcome in in_workers({names!r}, jobs.work, start=jobs.pid, workers=2):
    print(outcome.result, flush=True)
"""


def script(folder, names):
    path = folder / "script.py"
    path.write_text(SCRIPT.format(tests=str(Path(jobs.__file__).parent), names=names))
    return path


def test_a_script_that_guards_nothing_is_not_run_again_in_the_processes(tmp_path):
    path = script(tmp_path, [("echo", "a"), ("echo", "b")])
    ran = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["ran", "a", "b"]


def test_the_processes_end_with_a_parent_that_is_killed(tmp_path):
    path = script(tmp_path, ["state", "hang"])
    parent = subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout.readline() == "ran\n"
        int(parent.stdout.readline())
        processes = psutil.Process(parent.pid).children(recursive=True)
        assert len(processes) >= 2
    finally:
        parent.kill()
        parent.communicate()
    assert psutil.wait_procs(processes, timeout=500)[1] == []


def stop(*_):
    raise KeyboardInterrupt


def start_while_stopped(number, other, arrived):
    """What is done in the shelter while another thread gets a signal."""
    done = []
    try:
        with block_interrupts():
            signal.pthread_kill(other.ident, number)
            arrived.recv(1)
            done.append("started")
    except KeyboardInterrupt:
        done.append("stopped")
    return done


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_processes_are_started_comes_when_they_are(name):
    """Another thread may be the one that gets it, and Python tells the main thread at once."""
    number, ended = getattr(signal, name), threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    before = signal.signal(number, stop)
    # The system says here that it has handed the signal over.
    arrived, here = socket.socketpair()
    here.setblocking(False)
    wakeup = signal.set_wakeup_fd(here.fileno())
    try:
        with arrived, here:
            assert start_while_stopped(number, other, arrived) == ["started", "stopped"]
            assert signal.getsignal(number) is stop
            signal.set_wakeup_fd(wakeup)
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(number, before)
        ended.set()
        other.join()


# A process of its own, in which nothing was started yet.
FIRST = """
import signal
from multiprocessing import resource_tracker
from plgg.core.worker import block_interrupts

with block_interrupts():
    resource_tracker.ensure_running()
    assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_first_process_that_is_started_is_sheltered_as_well():
    subprocess.run([sys.executable, "-c", FIRST], check=True, timeout=500)
