"""Kill commands at random moments and start them twice at once: is anything lost or mixed?

    python benchmarks/interrupt.py [--kills 30] [--tries 50] [--only predict] [--seed 0]

Killed is `kill -9`, in turn the whole process group and the parent alone, at a random moment of the
time in which the command writes. The same command then has to end well, leave nothing half-written
and give the numbers of a command that nobody disturbed. Two commands on one folder: both end well,
or one is refused in a line that names the other, and the folder holds one whole result. Prints a
table and ends with status 1 if anything else is found. Linux; the data are tiny and made here.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import forked
from interrupted import commands, contents, faults, make_data

_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status (negative for a signal) and what it said on the way."""

    pid: int
    status: int
    err: str
    seconds: float


class Started:
    """The command `plgg` in a fork of this process, in a process group of its own."""

    def __init__(self, words: list[str], place: Path) -> None:
        self.began = time.monotonic()
        self.err = Path(tempfile.mkstemp(dir=place)[1])
        out = str(self.err.with_suffix(".out"))
        job = {"words": words, "cwd": str(place), "environment": dict(os.environ)}
        self.pid = os.fork()
        if not self.pid:
            _run(job | {"out": out, "err": str(self.err)})

    def running(self) -> bool:
        """Whether it has not ended."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def kill(self, *, group: bool) -> None:
        """End it at once, with its workers or without them."""
        (os.killpg if group else os.kill)(self.pid, signal.SIGKILL)

    def wait(self) -> Ended:
        """Wait for its end."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        err = self.err.read_text(encoding="utf-8")
        return Ended(self.pid, status, err, time.monotonic() - self.began)


def _run(job: dict[str, object]) -> None:
    """Be the command; never comes back."""
    status = 1
    try:
        os.setpgid(0, 0)
        forked.become(job)
        from plgg.cli import main

        main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def in_child(do: Callable[[], object]) -> None:
    """Do something in a fork, so that this process never has threads of its own."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            do()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        sys.exit("the data could not be made")


@dataclass(frozen=True)
class Undisturbed:
    """What a command gives when nobody disturbs it, and how long it takes until it begins."""

    wanted: dict[str, str]
    silent: float
    seconds: float


def undisturbed(words: list[str], out: Path, place: Path) -> Undisturbed:
    """Run a command once for its result and its times."""
    started = Started(words, place)
    _wait_for(out, started)
    silent = time.monotonic() - started.began
    ended = started.wait()
    if ended.status:
        sys.exit(f"plgg {' '.join(words)}: status {ended.status}\n{ended.err}")
    return Undisturbed(contents(out), silent, ended.seconds)


def _wait_for(out: Path, started: Started) -> None:
    while started.running() and not out.exists():
        time.sleep(0.005)


def _pause(most: float) -> None:
    """Until a random moment."""
    time.sleep(random.uniform(0, max(0.0, most)))  # noqa: S311 - no secret


def killed(words: list[str], out: Path, known: Undisturbed, *, number: int) -> Iterator[str]:
    """Kill a command once and repeat it; gives what is wrong."""
    shutil.rmtree(out, ignore_errors=True)
    started = Started(words, out.parent)
    if number % 5:
        _wait_for(out, started)
        _pause(known.seconds - known.silent)
    else:
        _pause(known.seconds)
    started.kill(group=number % 2 == 0)
    started.wait()
    if not _all_gone(started.pid):
        yield "a worker outlived its parent"
        os.killpg(started.pid, signal.SIGKILL)
    ended = Started(words, out.parent).wait()
    if ended.status:
        yield f"status {ended.status} when repeated: {_last(ended.err)}"
    yield from faults(out, [known.wanted])


def _all_gone(group: int) -> bool:
    """Whether all processes of a group end within some seconds."""
    until = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < until:
        if not any(_lives_in(process, group) for process in psutil.process_iter()):
            return True
        time.sleep(0.05)
    return False


def _lives_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


def together(
    pair: list[list[str]], out: Path, known: list[Undisturbed], *, number: int
) -> Iterator[str]:
    """Start two commands on one folder; gives what is wrong, and first of all how they ended."""
    shutil.rmtree(out, ignore_errors=True)
    first = Started(pair[0], out.parent)
    if number % 2:
        _pause(known[0].seconds * 1.1)
    second = Started(pair[1], out.parent)
    ended = [first.wait(), second.wait()]
    statuses = sorted(one.status for one in ended)
    yield {(0, 0): "both ended well", (0, 2): "one refused"}.get(tuple(statuses), "WRONG")
    if statuses not in ([0, 0], [0, 2]):
        yield f"statuses {statuses}: {[_last(one.err) for one in ended]}"
    for one, other in (ended, reversed(ended)):
        if one.status == 2:
            yield from _not_naming(one.err, other.pid)
    yield from faults(out, [one.wanted for one in known])


def _not_naming(err: str, holder: int) -> Iterator[str]:
    lines = [line for line in err.splitlines() if line.startswith("plgg: ")]
    if len(lines) != 1 or "Traceback" in err or f"(process {holder} on" not in lines[0]:
        yield f"refused without the holder's name: {_last(err)}"


def _last(err: str) -> str:
    return (err.strip().splitlines() or ["(nothing was said)"])[-1]


def main() -> int:
    """Print the table; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="of each command")
    parser.add_argument("--tries", type=int, default=50, help="of two commands at once, each")
    parser.add_argument("--only", nargs="*", help="these commands alone")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    options = parser.parse_args()
    random.seed(options.seed)
    os.environ |= {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    forked.be_ready()
    print("| command | disturbed | what happened |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        in_child(lambda: make_data(place))
        names = options.only or list(commands(place, place / "out"))
        return max([_both(name, place, options) for name in names])


def _both(name: str, place: Path, options: argparse.Namespace) -> int:
    """Kill one command and start it twice; 1 if anything is wrong."""
    out = place / f"{name}-out"
    pair = commands(place, out)[name]
    known = []
    for words in pair:
        shutil.rmtree(out, ignore_errors=True)
        known.append(undisturbed(words, out, place))
    wrong = 0
    if options.kills:
        found = [list(killed(pair[0], out, known[0], number=n)) for n in range(options.kills)]
        wrong += _row(name, f"{options.kills} kills", [["whole and the same", *f] for f in found])
    if options.tries:
        found = [list(together(pair, out, known, number=n)) for n in range(options.tries)]
        wrong += _row(name, f"{options.tries} pairs", found)
    return int(wrong > 0)


def _row(name: str, disturbed: str, found: list[list[str]]) -> int:
    """Print a row; the number of tries that went wrong."""
    wrong = [fault for one in found for fault in one[1:]]
    good = Counter(one[0] for one in found if not one[1:])
    said = [f"{n} × {what}" for what, n in [*good.items(), *Counter(wrong).items()]]
    mark = " **(WRONG)**" if wrong else ""
    print(f"| {name} | {disturbed} | {'; '.join(said)}{mark} |", flush=True)
    return sum(bool(one[1:]) for one in found)


if __name__ == "__main__":
    sys.exit(main())
