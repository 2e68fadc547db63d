"""What the process of a job may do in tests, in place of a network's work."""

import os
import signal
import time
from pathlib import Path

from plgg.core.errors import InputError
from plgg.serve.worker import JobEnd, JobWatch, do, progress_file


def quickly(_work, _job):
    return JobEnd()


def slowly(work, job):
    watch = JobWatch(progress_file(work, job.id))
    with watch.task("counting") as tell:
        tell(2, 5)
        time.sleep(0.4)
        tell(3, 5)
        time.sleep(600)
    return JobEnd()


def when_told(work, job):
    """The real work, once `go` lies in the reading room."""
    while not (Path(work.root) / "go").exists():
        time.sleep(0.02)
    return do(work, job)


def eat(_work, _job):
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * 2**24))
        time.sleep(0.002)


def die(_work, _job):
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(work, job):
    mark = Path(work.root) / f"{job.id}.died"
    if mark.exists():
        return JobEnd()
    mark.touch()
    die(work, job)


def refuse(_work, _job):
    return JobEnd("holds no brain. Look at it.", refused=True)


def fail(_work, _job):
    raise InputError("is broken", remedy="Mend it.")


def crash(_work, _job):
    raise ZeroDivisionError("one\ntwo")
