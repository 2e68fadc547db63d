"""Looking through a folder: in a steady order, past what systems leave behind.

Hidden files (also the `._` twins that some systems write) are no data. Knows nothing of layouts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, in natural order; no folder is entered twice."""
    yield from (path for path in _below(folder, set()) if not path.is_dir())


def folders_below(folder: Path) -> Iterator[Path]:
    """All folders below a folder, each once, parents first."""
    yield from (path for path in _below(folder, set()) if path.is_dir())


def _below(folder: Path, entered: set[Path]) -> Iterator[Path]:
    """What lies below a folder; links are followed, but not in rings."""
    entered.add(folder.resolve())
    for path in visible(folder):
        if not path.is_dir():
            yield path
        elif path.resolve() not in entered:
            yield path
            yield from _below(path, entered)


def visible(folder: Path) -> list[Path]:
    """Files and folders in a folder that are not hidden nor lead back up, in natural order."""
    if not folder.is_dir():
        return []
    real = folder.resolve()
    found = (p for p in folder.iterdir() if not p.name.startswith("."))
    return sorted((p for p in found if not _leads_up(p, real)), key=natural)


def _leads_up(path: Path, real: Path) -> bool:
    return path.is_symlink() and path.is_dir() and real.is_relative_to(path.resolve())


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """A key that puts `2` before `10`."""
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def fits(path: Path, root: Path, pattern: str) -> bool:
    """Whether a file's name, or its path from `root`, fits a pattern such as `*_FLAIR*.nii.gz`."""
    return fnmatchcase(path.name, pattern) or fnmatchcase(
        path.relative_to(root).as_posix(), pattern
    )


def first_folder(root: Path, wanted: Callable[[str], bool]) -> Path | None:
    """The first folder directly in `root` whose name is wanted."""
    return next((p for p in visible(root) if p.is_dir() and wanted(p.name)), None)
