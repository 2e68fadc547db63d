"""Lock an output folder for one process; a second process gets an error that names the holder.

    with locked(run):
        ...

Several processes may each lock a part of a folder (`locked_part`); then none can lock it whole.

The lock is the operating system's (`filelock`), which releases it when the process ends for any
reason. The file `.plgg.lock` stays in the folder and only names the holder.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from plgg.core.errors import OutputError
from plgg.core.files import make_folder

LOCK = ".plgg.lock"
BESIDE = ".lock"
# A holder writes its name within this time, unless it is not plgg or cannot write.
_UNNAMED_SECONDS = 1.0
# The tasks of a job array start together, and each locks the whole folder for a moment.
_PART_SECONDS = 60.0
_PART = ".plgg-part-"
# Beginning of the contents of a lock, which is empty most of the time.
_BEGIN = b'{"command": '
# Number of times that this process holds each lock: a command may lock the same folder twice.
_HELD: dict[tuple[int, Path], int] = {}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, which is created if necessary; a process may lock it several times.

    Raises:
        OutputError: If another process holds it or a part of it, or it cannot be written to.
    """
    make_folder(folder)
    with _held(folder / LOCK, folder, named=True) as first:
        if first:
            _end_parts(folder)
        yield


@contextmanager
def locked_part(folder: Path, part: str) -> Iterator[None]:
    """Lock a part of a folder, while other processes lock other parts.

    Args:
        folder: Created if necessary.
        part: Names the part: letters, digits and hyphens.

    Raises:
        OutputError: If another process holds the folder or this part, or it cannot be written to.
    """
    make_folder(folder)
    path = folder / f"{_PART}{part}{BESIDE}"
    with ExitStack() as held:
        # The whole folder for a moment: parts are refused while another process has all of it.
        with _held(folder / LOCK, folder, named=False):
            held.enter_context(_held(path, folder, named=True))
        yield


@contextmanager
def _held(path: Path, folder: Path, *, named: bool) -> Iterator[bool]:
    """Acquire a lock of a folder; yields whether this process did not hold it before."""
    key = os.getpid(), path.parent.resolve() / path.name
    if key in _HELD:
        _HELD[key] += 1
        try:
            yield False
        finally:
            _HELD[key] -= 1
        return
    _require_own(path)
    lock = _acquired(path, folder, _UNNAMED_SECONDS if named else _PART_SECONDS)
    _HELD[key] = 1
    try:
        if named:
            _note(path, json.dumps(_holder()))
        yield True
    finally:
        del _HELD[key]
        if named:
            _note(path, "")
        with suppress(OSError):
            lock.release()


def _end_parts(folder: Path) -> None:
    """Remove the locks of parts, after the whole folder was locked.

    Raises:
        OutputError: If a living process holds one.
    """
    for path in sorted(folder.glob(f"{_PART}*{BESIDE}")):
        if not _may_be_lock(path):
            continue
        if is_in_use(path):
            name = path.name.removeprefix(_PART).removesuffix(BESIDE).replace("-", " ")
            raise OutputError(
                f"part {name[:40]!a} is in use by {_held_by(path) or 'another process'}",
                where=folder,
                remedy="Wait until all parts have ended, or choose another folder.",
            )
        with suppress(OSError):
            path.unlink()


@contextmanager
def in_use(aside: Path) -> Iterator[None]:
    """Lock an unfinished folder, so that other processes do not delete it as a leftover.

    It has no effect on file systems without locks.
    """
    path = _lock_beside(aside)
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        with suppress(OSError, Timeout, NotImplementedError):
            lock.acquire()
        yield
    finally:
        with suppress(OSError):
            lock.release()
            path.unlink(missing_ok=True)


def is_in_use(path: Path) -> bool:
    """Whether an unfinished folder, or the lock beside it, belongs to a living process."""
    beside = path if path.is_file() else _lock_beside(path)
    if not beside.is_file():
        return False
    lock = FileLock(beside, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except (OSError, Timeout, NotImplementedError) as error:
        return isinstance(error, Timeout)
    lock.release()
    return False


def _lock_beside(aside: Path) -> Path:
    return aside.with_name(f"{aside.name}{BESIDE}")


def _require_own(path: Path) -> None:
    """Check that a lock's path is free or a lock of plgg, because locking empties the file.

    Raises:
        OutputError: If it is a link, a folder or a pipe, or has other contents than a lock.
    """
    if not _may_be_lock(path):
        raise OutputError(
            "is not a lock that plgg made",
            where=path,
            remedy="Move it away, or choose another folder.",
        )


def _may_be_lock(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return not path.is_symlink() and not path.exists()
    try:
        with path.open("rb") as handle:
            return _BEGIN.startswith(handle.read(len(_BEGIN)))
    except OSError:  # Where a file that is locked cannot be read (Windows).
        return True


def _acquired(path: Path, folder: Path, seconds: float) -> FileLock:
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        _acquire(lock, path, seconds)
    except Timeout as error:
        raise OutputError(
            f"is in use by {_held_by(path) or 'another process'}",
            where=folder,
            remedy="Wait until it has ended, or choose another folder.",
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot be locked ({error.strerror or error})",
            where=folder,
            remedy="Choose a folder on another disk.",
        ) from error
    return lock


def _acquire(lock: FileLock, path: Path, seconds: float) -> None:
    """Acquire a lock; retry while its holder has not written its name yet or has just ended."""
    until = time.monotonic() + seconds
    while True:
        try:
            lock.acquire()
            return
        except Timeout:
            if _held_by(path) or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _holder() -> dict[str, str | int]:
    command = " ".join(["plgg", *sys.argv[1:2]])
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"command": command, "process": os.getpid(), "host": platform.node(), "since": since}


def _note(path: Path, text: str) -> None:
    """Write the holder into the lock file; errors are ignored."""
    with suppress(OSError):
        path.write_text(text, encoding="utf-8")


def _held_by(path: Path) -> str | None:
    """Description of a lock's holder; None if none is recorded or its process no longer runs."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8")[:1000])
        if holder["host"] == platform.node() and not psutil.pid_exists(int(holder["process"])):
            return None
        return (
            f"{str(holder['command'])[:40]!a} (process {int(holder['process'])} on "
            f"{str(holder['host'])[:80]!a}, since {str(holder['since'])[:20]!a})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
