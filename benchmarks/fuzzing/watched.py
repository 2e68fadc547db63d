"""A yard in which inputs are tried: who writes outside it, connects or takes too long is seen.

    with yard(folder) as ground:
        ground.tried(attempt)   # raises whatever is no result and no refusal

The yard has a folder `work`, in which everything may be written, and beside it a folder of known
content. Python says of every file that it opens to write, of every connection and of every program
that it starts; what libraries written in C do shows in the folder beside.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

SECONDS = 60
"""The longest that one input may take."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.truncate": 1, "os.chmod": 1, "os.chown": 1,
    "os.utime": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2,
}  # fmt: skip
"""Events that change files, and how many of their arguments are paths."""
_LEAVING = (
    "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec",
    "os.posix_spawn", "os.fork",
)  # fmt: skip

_open_yards: list[Yard] = []


class TooLongError(BaseException):
    """An input took longer than `SECONDS`; no `except Exception` of a library holds it up."""


@dataclass
class Yard:
    """The folders, and what was done that is not allowed."""

    work: Path
    beside: Path
    known: str = ""
    seen: list[str] = field(default_factory=list)

    def tried(self, attempt: Callable[[Path], object]) -> bool:
        """Try one input in an empty folder.

        Returns:
            Whether it ended in a result; else it was refused.

        Raises:
            AssertionError: If it changed anything outside `work`, or reached out.
            BaseException: Whatever the attempt raises.
        """
        self.seen.clear()
        with tempfile.TemporaryDirectory(dir=self.work) as folder, _in_time():
            _open_yards.append(self)
            try:
                found = attempt(Path(folder))
            finally:
                _open_yards.remove(self)
        self.require_untouched()
        return found is not None and found is not False

    def require_untouched(self) -> None:
        """Raise if anything outside `work` was touched."""
        assert not self.seen, f"touched: {'; '.join(self.seen)}"
        assert _content(self.beside) == self.known, "the folder beside has other content"
        names = {path.name for path in self.work.parent.iterdir()}
        assert names == {self.work.name, self.beside.name}, f"beside the folder lie: {names}"

    def notice(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event that is not allowed."""
        if event in _LEAVING:
            self.seen.append(f"{event} {arguments!r:.100}")
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                self._require_inside(event, path)
        else:
            for path in arguments[: _CHANGES.get(event, 0)]:
                self._require_inside(event, path)

    def _require_inside(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        real = Path(os.path.realpath(os.fsdecode(path)))
        if not real.is_relative_to(self.work) and real != Path(os.devnull):
            self.seen.append(f"{event} {real}")


@contextmanager
def yard(folder: Path) -> Iterator[Yard]:
    """A yard in an empty folder, which is the working folder and that of temporary files."""
    _listen()
    folder = folder.resolve()
    found = Yard(folder / "work", folder / "beside")
    (found.beside / "deeper").mkdir(parents=True)
    found.work.mkdir()
    for name in ("kept.txt", "manifest.csv", "deeper/scan.nii.gz"):
        (found.beside / name).write_text(f"the content of {name}\n" * 9)
    found.known = _content(found.beside)
    temporary, tempfile.tempdir = tempfile.tempdir, str(found.work)
    try:
        with chdir(found.work):
            yield found
    finally:
        tempfile.tempdir = temporary


def _content(folder: Path) -> str:
    """Hash of the names, bytes and times of all below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found.update(f"{path} {path.lstat().st_mtime_ns} {content!r}\n".encode())
    return found.hexdigest()


@contextmanager
def _in_time() -> Iterator[None]:
    """Raise within the block once it has taken too long."""

    def ring(*_: object) -> None:
        raise TooLongError(f"it took longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@cache
def _listen() -> None:
    """Hear of all events from now on; Python has no way to stop."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        for one in _open_yards:
            one.notice(event, arguments)

    sys.addaudithook(hear)
