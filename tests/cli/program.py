"""Running the real program, as a user would."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """What a command left: its status and what it printed."""

    status: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


def plgg(*arguments, status=0, cwd=None):
    """Run a command and check its exit status."""
    command = [sys.executable, "-m", "plgg", *map(str, arguments)]
    # The work is tiny: threads would cost more than they give.
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return Done(done.returncode, done.stdout, done.stderr)


def one_line(done):
    """The error of a command, which must be one line and no traceback."""
    lines = [line for line in done.err.splitlines() if line.startswith("plgg: ")]
    assert len(lines) == 1, done.err
    assert "Traceback" not in done.err
    return lines[0]
