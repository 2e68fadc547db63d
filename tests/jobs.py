"""Jobs for worker processes, good and bad; a process can only be given what a module holds."""

import os
import signal
import sys
import time
from pathlib import Path

from plgg.core.errors import InputError


class CannotCrossError(InputError):
    """Loses an argument where it is pickled."""

    def __init__(self, what, more):
        super().__init__(what)
        self.more = more


class CannotBeToldError(Exception):
    """Fails even while it is told."""

    def __str__(self):
        raise RuntimeError


class Unpickled:
    """A result that can be pickled and not read back."""

    def __reduce__(self):
        return int, ("x",)


def pid():
    return os.getpid()


def broken():
    raise InputError("the network is damaged", where="model", remedy="Copy it again.")


def broken_and_not_to_be_sent():
    raise CannotCrossError("the network is damaged", 1)


def dead():
    os.kill(os.getpid(), signal.SIGKILL)


def work(state, job):
    name, *arguments = job if isinstance(job, tuple) else (job,)
    return JOBS[name](state, *arguments)


def killed_once(_, marks):
    """Killed from outside where others run beside it, as memory that runs out does."""
    mark = Path(marks)
    if mark.exists():
        return "alone"
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def host_killed_once(_, marks):
    """Kills what handed it the job, as a node that goes away does."""
    mark = Path(marks)
    if mark.exists():
        return "elsewhere"
    mark.touch()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)


def counted(_, folder):
    """Leaves a mark for each time that it is done, and is killed each time."""
    (Path(folder) / f"{time.monotonic_ns()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def memory(_):
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * 2**24))
        time.sleep(0.002)


def raising(error):
    def job(_):
        raise error

    return job


def deep(_):
    return deep(_)


JOBS = {
    "state": lambda state: state,
    "echo": lambda _, value: value,
    "hang": lambda _: time.sleep(3600),
    "memory": memory,
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "killed-once": killed_once,
    "host-killed-once": host_killed_once,
    "counted": counted,
    "crash": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda _: os._exit(3),
    "sys-exit": lambda _: sys.exit(4),
    "told": raising(InputError("holds no brain", where="a.nii", remedy="Look.")),
    "cannot-cross": raising(CannotCrossError("holds no brain", 1)),
    "cannot-be-told": raising(CannotBeToldError()),
    "two-lines": raising(ValueError("one\n  two")),
    "no-memory": raising(MemoryError()),
    "deep": deep,
    "result-cannot-be-sent": lambda _: lambda: None,
    "result-cannot-be-read": lambda _: Unpickled(),
}
