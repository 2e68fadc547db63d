"""Standard streams that are closed, full or not read: one line and a status, no traceback."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="redirections of a POSIX shell")
REFUSAL = "evaluate nowhere manifest.csv"


def shell(line, tmp_path):
    """Status and what was printed of `plgg` in a shell, with a redirection or pipe."""
    program = f'"{sys.executable}" -m plgg {line}'
    done = subprocess.run(  # noqa: S602 - the shell is what is tested
        program, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["--version", "--help", "info --json"])
def test_an_output_that_is_full_is_one_line(command, tmp_path):
    done = shell(f"{command} > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "plgg: the output cannot be written: No space left on device."
    ]


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "--json >&-", "--json 2>&-"])
def test_a_refusal_keeps_its_status_where_a_stream_is_closed(streams, tmp_path):
    assert shell(f"{REFUSAL} {streams}", tmp_path).returncode == 2


def test_an_output_that_nobody_reads_is_no_failure_of_a_case(tmp_path):
    line = f'("{sys.executable}" -m plgg info --json; echo $? > status) | true'
    done = subprocess.run(  # noqa: S602 - the shell is what is tested
        line, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
    )
    assert not done.stderr
    # All of it may have been written before nobody read it.
    assert (tmp_path / "status").read_text().strip() in ("0", "141")
