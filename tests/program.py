"""Running the real program, as a user would: a process of its own, its status and what it printed.

Most of the time of a short command goes into importing torch. So the process is a fork of one that
has imported everything (`forked.py`); `fresh=True` starts `python -m plgg` from nothing instead.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FORKED = Path(__file__).parent / "forked.py"
# The work is tiny: threads would cost more than they give.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Done:
    """What a command left: its status and what it printed."""

    status: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


def plgg(*arguments, status=0, cwd=None, fresh=False):
    """Run a command and check its exit status."""
    words = [*map(str, arguments)]
    run = _fresh if fresh or sys.platform != "linux" else _forked
    done = run(words, str(cwd or Path.cwd()), os.environ | ONE_THREAD)
    assert done.status == status, f"plgg {words}\n{done.status}\n{done.out}\n{done.err}"
    return done


def one_line(done):
    """The error of a command, which must be one line and no traceback."""
    lines = [line for line in done.err.splitlines() if line.startswith("plgg: ")]
    assert len(lines) == 1, done.err
    assert "Traceback" not in done.err
    return lines[0]


def _fresh(words, cwd, environment):
    command = [sys.executable, "-m", "plgg", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env=environment
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _forked(words, cwd, environment):
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        job = {"words": words, "cwd": cwd, "environment": environment}
        status = _ask(job | {"out": str(out), "err": str(err)})
        return Done(status, *(path.read_text(encoding="utf-8") for path in (out, err)))


def _ask(job):
    parent = _parent()
    try:
        parent.stdin.write(json.dumps(job) + "\n")
        parent.stdin.flush()
        return int(parent.stdout.readline())
    except BaseException:
        # Such as the time limit of a test: the next command gets another parent.
        _end(parent)
        raise


@cache
def _parent():
    parent = subprocess.Popen(
        [sys.executable, FORKED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ONE_THREAD,
        start_new_session=True,
    )
    atexit.register(_end, parent)
    return parent


def _end(parent):
    """End the parent and all that it has started."""
    _parent.cache_clear()
    if parent.poll() is None:
        os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
