"""Regular files only: opening never waits on a pipe, and a folder of looping links has an end."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file that can be looked at, or a link to one."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a pipe, socket or device is refused without waiting.

    Raises:
        OSError: If it cannot be opened, or is not a regular file.
    """
    number = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(None, "not a regular file")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def regular_files(
    folder: Path, *, hidden: bool = False, on_lost: Callable[[Path], object] | None = None
) -> Iterator[Path]:
    """All regular files below a folder, each once, in order of name.

    Links are followed, but no folder is entered and no file is given twice, whatever leads to it.
    Pipes, sockets and devices are passed over.

    Args:
        folder: Where to begin; its own files come before those of its subfolders.
        hidden: Whether names that begin with a dot are wanted.
        on_lost: Called with each link that leads nowhere and each folder that cannot be listed.
    """
    lost = on_lost or (lambda _: None)
    entered: set[tuple[int, int]] = set()
    given: set[str] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        files, folders = _listed(here, entered, lost, hidden=hidden)
        real = os.path.realpath(here)
        for path in files:
            target = os.path.realpath(path) if path.is_symlink() else os.path.join(real, path.name)  # noqa: PTH118
            if target not in given:
                given.add(target)
                yield path
        waiting += reversed(folders)


def _listed(
    folder: Path, entered: set[tuple[int, int]], lost: Callable[[Path], object], *, hidden: bool
) -> tuple[list[Path], list[Path]]:
    """Regular files and folders in a folder, by name; neither where it was entered before."""
    files, folders = [], []
    try:
        about = folder.stat()
        if (about.st_dev, about.st_ino) in entered:
            return [], []
        entered.add((about.st_dev, about.st_ino))
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names that are no UTF-8 sort, too
    except OSError:
        lost(folder)
        return [], []
    for path in (folder / name for name in names if hidden or not name.startswith(".")):
        try:
            mode = path.stat().st_mode
        except OSError:
            lost(path)
            continue
        if stat.S_ISDIR(mode):
            folders.append(path)
        elif stat.S_ISREG(mode):
            files.append(path)
    return files, folders
