"""Checks of paths from users and from records: that they exist, and stay inside their folder.

>>> join_inside(Path("/store"), "cases", "P01")
PosixPath('/store/cases/P01')
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from plgg.core.errors import CheckpointError, InputError, PlggError, StoreError
from plgg.core.files import require_no_file
from plgg.core.prediction_files import RESULT

_MAX_LENGTH = 255
# Separators of any system, what Windows forbids in a name, and control characters.
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


def join_inside(root: Path, *names: str, error: type[PlggError] = InputError) -> Path:
    """Join names to a root folder, and refuse a path that leads out of it, also by links.

    Args:
        root: A folder; it need not exist yet.
        *names: Names of folders and of a file, one each.
        error: Class of the error.

    Returns:
        `root` followed by the names, without resolving links.

    Raises:
        PlggError: Of the class `error`, if a name is invalid, or the path leads out of `root`.
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


# Atlases that have a name; `plgg.data.atlas` loads them.
_NAMED_ATLASES = ("built-in", "sri24")


def require_there(paths: Iterable[Path], *, error: type[PlggError] = InputError) -> None:
    """Check that all paths exist.

    Args:
        paths: As they were typed.
        error: What is raised.

    Raises:
        PlggError: Of the kind `error`, if not.
    """
    for path in paths:
        if not _exists(path):
            raise error("no such file or folder", where=path, remedy="Check the path.")


def require_folder(path: Path, *, error: type[PlggError] = InputError) -> None:
    """Check that a path is a folder.

    Args:
        path: As it was typed.
        error: What is raised.

    Raises:
        PlggError: Of the kind `error`, if not.
    """
    if not (_exists(path) and path.is_dir()):
        what = "is not a folder" if _exists(path) else "no such folder"
        raise error(what, where=path, remedy="Check the path.")


def require_output(folder: Path | None) -> None:
    """Check that a path can be an output folder; None is accepted.

    Raises:
        OutputError: If a file is there, or the path is invalid.
    """
    if folder is not None:
        require_no_file(folder)


def require_store(folder: Path) -> None:
    """Check that a folder looks like a store.

    Raises:
        StoreError: If it cannot be one.
    """
    if not _exists(folder / "cohort.json"):
        raise StoreError(
            f"is not a store ({_lacks(folder, 'cohort.json')})",
            where=folder,
            remedy="Make one: plgg preprocess.",
        )


def require_run(run: str | Path | None) -> None:
    """Check that a folder looks like a trained run or an ensemble; None is accepted.

    Raises:
        CheckpointError: If it cannot be one.
    """
    if run is None:
        return
    if not any(_exists(Path(run) / name) for name in ("checkpoints/best.json", "ensemble.json")):
        raise CheckpointError(
            f"holds no checkpoint 'best' ({_lacks(Path(run), 'checkpoints/best.json')})",
            where=run,
            remedy="Give the folder of a plgg train run.",
        )


def require_priors(folders: Iterable[Path]) -> None:
    """Check that folders look like earlier predictions.

    Raises:
        InputError: If one cannot be.
    """
    for folder in folders:
        require_prior(folder)


def require_model(folder: Path) -> None:
    """Check that a folder looks like a run, an ensemble, or trained results of nnU-Net.

    Raises:
        CheckpointError: If it cannot be one.
    """
    places = (folder, folder.parent) if folder.name.startswith("fold_") else (folder,)
    planned = [place for place in places if _exists(place / "plans.json")]
    if planned and not any(_exists(place / "dataset.json") for place in planned):
        raise CheckpointError(
            "holds nnU-Net's plans.json, but no dataset.json",
            where=planned[0],
            remedy="Copy the folder of nnU-Net's results again.",
        )
    if planned:
        return
    inner = sorted(path.name for path in folder.glob("*Trainer*__*__*")) if _exists(folder) else ()
    if inner:
        raise CheckpointError(
            f"is no trained nnU-Net, but holds {len(inner)}",
            where=folder,
            remedy=f"Name one, for example {folder / inner[0]}.",
        )
    require_run(folder)


def require_prior(folder: Path | None) -> None:
    """Check that a folder looks like an earlier prediction; None is accepted.

    Raises:
        InputError: If it cannot be one.
    """
    if folder is not None and not _exists(folder / RESULT):
        raise InputError(
            f"is no prediction ({_lacks(folder, RESULT)})",
            where=folder,
            remedy="Name the folder of one case that plgg predict has made.",
        )


def named_atlas(atlas: str) -> bool:
    """Whether an atlas is given by its name, not by a path."""
    return atlas in _NAMED_ATLASES


def require_atlas(atlas: str | None) -> None:
    """Check that an atlas is a known name or an existing path; None is accepted.

    Raises:
        InputError: If not.
    """
    if atlas is None or named_atlas(atlas):
        return
    if not _exists(Path(atlas).expanduser()):
        raise InputError(
            "no such atlas",
            where=atlas,
            remedy="Give built-in, sri24, a folder that holds SRI24 or one .nii or .nii.gz file.",
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # A name too long, or with a character that no path may hold.
        return False


def _lacks(folder: Path, name: str) -> str:
    return f"no {name}" if _exists(folder) else "no such folder"
