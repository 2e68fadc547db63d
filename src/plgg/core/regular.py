"""Open regular files only, without blocking on a pipe, and list folders with cyclic links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from plgg.core.errors import InputError

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def is_there(path: Path) -> bool:
    """Whether a path exists; False for an invalid path."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file or a link to one; False if that cannot be determined."""
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


def require_readable(path: Path, *, folders: bool = False) -> None:
    """Refuse a path at which there is no regular file, without opening it.

    Args:
        path: Of a file; links are followed.
        folders: Whether a folder will do.

    Raises:
        InputError: If there is nothing, a link that leads nowhere, a pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        what, remedy = _why_not_there(path, error)
        raise InputError(what, where=path, remedy=remedy) from error
    if stat.S_ISREG(mode) or (folders and stat.S_ISDIR(mode)):
        return
    if stat.S_ISDIR(mode):
        raise InputError(
            "is a folder, not a file", where=path, remedy="Name the file in it that is meant."
        )
    raise InputError(
        "is a pipe, a socket or a device, not a file", where=path, remedy="Copy it into a file."
    )


def _why_not_there(path: Path, error: OSError | ValueError) -> tuple[str, str]:
    """Message and remedy for a path whose status cannot be read."""
    number = getattr(error, "errno", None)
    link = _link_target(path)
    if number == errno.ELOOP:
        return "is a symbolic link that leads back to itself", "Name the file itself."
    if number == errno.EACCES:
        return "cannot be looked at: permission denied", "Mend the permissions of its folders."
    if link is not None and "annex/objects" in link.replace("\\", "/"):
        return "is a git-annex link whose content is not here", "Fetch it: git annex get."
    if link is not None:
        return "is a symbolic link to a file that is not there", "Mend the link, or name the file."
    return "no such file", "Check the path in the manifest."


def _link_target(path: Path) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - names that are no UTF-8, too
    except (OSError, ValueError):
        return None
