"""Looking through a folder: in a steady order, past what systems leave behind.

Hidden files (also the `._` twins that some systems write) are no data. Knows nothing of layouts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, in natural order."""
    for path in visible(folder):
        if path.is_dir():
            yield from files_below(path)
        else:
            yield path


def folders_below(folder: Path) -> Iterator[Path]:
    """All folders below a folder, parents first."""
    for path in visible(folder):
        if path.is_dir():
            yield path
            yield from folders_below(path)


def visible(folder: Path) -> list[Path]:
    """Files and folders in a folder that are not hidden, in natural order."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural)


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
