"""Paths that records and names lead to, kept inside the folder where they belong.

>>> below(Path("/store"), "cases", "P01")
PosixPath('/store/cases/P01')
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from plgg.errors import InputError, PlggError

_MAX_LENGTH = 255
# Separators of any system, what Windows forbids in a name, and control characters.
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


def below(root: Path, *names: str, error: type[PlggError] = InputError) -> Path:
    """The path of `names` under `root`, whose links do not lead out of it.

    Args:
        root: A folder; it need not be there yet.
        *names: Names of folders and of a file, one each.
        error: What is raised.

    Returns:
        `root` followed by the names, as it was given: nothing in it is resolved.

    Raises:
        PlggError: Of the kind `error`, if a name is none, or the path leads out of `root`.
    """
    path = root.joinpath(*names)
    if any(file_name_fault(name) for name in names) or not _stays(path, root):
        raise error(
            f"leads out of the folder {str(root)!a}",
            where=ascii(str(path))[1:-1],
            remedy="Use only folders that plgg made, without links to other places.",
        )
    return path


def _stays(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name that is too long
        return False


def file_name_fault(name: str) -> str | None:
    """Why a text is not the plain name of a file or folder, in a clause; None if it is."""
    if not name or name.strip(" .") == "" or len(name) > _MAX_LENGTH or _FORBIDDEN.search(name):
        return "is not the plain name of a file"
    return None


def _file_name(name: str) -> str:
    fault = file_name_fault(name)
    if fault:
        raise ValueError(f"{name[:60]!a} {fault}")
    return name


def _relative_path(name: str) -> str:
    for part in name.split("/"):
        _file_name(part)
    return name


FileName = Annotated[str, AfterValidator(_file_name)]
"""The plain name of a file in a pydantic record: no separators, not `..`."""
RelativePath = Annotated[str, AfterValidator(_relative_path)]
"""Plain names with `/` between them in a pydantic record: never absolute, never upwards."""
