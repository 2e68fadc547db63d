"""Commands that are killed, or started twice on one folder, through the benchmark of that."""

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPT = Path(__file__).parents[1] / "benchmarks" / "interrupt.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks and process groups of Linux"),
]


@pytest.mark.parametrize(
    ("command", "options"),
    [("predict", ["--kills", "1", "--tries", "0"]), ("train", ["--kills", "0", "--tries", "1"])],
)
def test_nothing_is_lost_or_mixed(command, options):
    words = [sys.executable, INTERRUPT, "--only", command, *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    row = done.stdout.splitlines()[-1]
    assert row.startswith(f"| {command} | 1 ")
    assert "WRONG" not in row
