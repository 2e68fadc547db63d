"""Replace a whole folder, if it has plgg's mark and contains only files of plgg.

    with replace_folder(out / case_id, PREDICTION, inputs=[scan]) as aside:
        ...write into aside...

The new folder is written under a temporary name, and renamed once it is complete and synced to
disk. The old one is renamed first and deleted last, file by file. Files that plgg did not write are
never deleted.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from plgg.core.errors import OutputError
from plgg.core.files import (
    convert_inspection_errors,
    convert_write_errors,
    make_folder,
    sha256,
    split_aside,
    sync,
    temporary_name,
)
from plgg.core.lock import BESIDE, in_use, is_in_use
from plgg.core.prediction_files import (
    DOCUMENT,
    LABELS,
    MASK,
    PROBABILITY,
    REPORT,
    RESULT,
    UNCERTAINTY,
)

log = logging.getLogger(__name__)
_MOST_MARK_BYTES = 64 * 2**20
_REMEDY = "Move it away, or choose another output folder."


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that plgg writes as a whole.

    Attributes:
        name: Its name in messages.
        files: Patterns of the files in it, relative, with `/`.
        mark: The JSON file that identifies it.
        format: Value of `format` in the mark; None if its name is sufficient, because only plgg
            writes into the parent of such folders.
        hashes: Key in the mark of the SHA-256 of the files, by name: a folder with a file that was
            altered since is not replaced. None to replace it anyway.
    """

    name: str
    files: tuple[str, ...]
    mark: str
    format: str | None = None
    hashes: str | None = None


PREDICTION = FolderKind(
    "prediction",
    (
        MASK,
        LABELS,
        "probability_*.nii.gz",
        PROBABILITY,
        UNCERTAINTY,
        "segmentation.dcm",
        "measurements.dcm",
        "rtstruct.dcm",
        "report.dcm",
        RESULT,
        REPORT,
        DOCUMENT,
    ),
    RESULT,
    format="plgg-result",
    hashes="files",
)
STORED_CASE = FolderKind(
    "case of a store",
    ("image.b2nd", "mask.b2nd", "labels.b2nd", "case.json", "truth.nii.gz", "labels.nii.gz"),
    "case.json",
)
EXPORT = FolderKind(
    "export",
    ("model.onnx", "model.xml", "model.bin", "configs/*.json", "models/*", "docs/*", "export.json"),
    "export.json",
    format="plgg-export",
)


MODEL = FolderKind(
    "model",
    (
        "ensemble.json",
        "model_card.md",
        "fold-*/checkpoints/best*.json",
        "fold-*/checkpoints/best*.safetensors",
        "fold-*/calibration.json",
        # From a round of corrections, whose model stays at the site of the patients.
        "fold-*/split.json",
    ),
    "ensemble.json",
    format="plgg-ensemble",
)


@contextmanager
def replace_folder(
    folder: Path, kind: FolderKind, *, inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield a temporary folder, which replaces a folder if the block succeeds.

    Args:
        folder: Folder to create or replace.
        kind: Kind of the folder.
        inputs: Files that are read meanwhile; none may be in the folder.

    Raises:
        OutputError: If something else is there, or writing fails; nothing is changed then.
    """
    require_replaceable(folder, kind, inputs=inputs)
    with scratch_folder(folder) as aside, convert_write_errors(folder):
        yield aside
        _sync_all(aside)
        require_replaceable(folder, kind)
        _put_in_place(aside, folder, kind)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`, and delete it at the end if it still exists.

    It is locked, so that no other command deletes it as a leftover.

    Raises:
        OutputError: If it cannot be made.
    """
    aside = temporary_name(path)
    make_folder(aside)
    with in_use(aside):
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _put_in_place(aside: Path, folder: Path, kind: FolderKind) -> None:
    old = None
    if folder.exists():
        old = temporary_name(folder, "old")
        folder.rename(old)
    try:
        aside.rename(folder)
    except OSError:
        if old:
            old.rename(folder)
        raise
    sync(folder.parent)
    if old:
        remove_own(old, kind)


def require_replaceable(folder: Path, kind: FolderKind, *, inputs: Iterable[Path] = ()) -> None:
    """Check that a folder does not exist, is empty, or is an unaltered one of plgg.

    Raises:
        OutputError: If it is anything else, or an input lies in it.
    """
    require_untaken(folder, kind, inputs=inputs)
    fault = _altered_fault(folder, kind)
    if fault:
        raise OutputError(fault, where=folder, remedy=_REMEDY)


def require_untaken(folder: Path, kind: FolderKind, *, inputs: Iterable[Path] = ()) -> None:
    """Check that a folder does not exist, is empty, or has plgg's mark of this kind.

    Raises:
        OutputError: If it is anything else, or an input lies in it.
    """
    for path in inputs:
        if _lies_in(path, folder):
            raise OutputError(
                f"the input {path.name!a} lies in the folder that the {kind.name} would replace",
                where=folder,
                remedy="Choose another output folder.",
            )
    with convert_inspection_errors(folder):
        fault = _ownership_fault(folder, kind)
    if fault:
        raise OutputError(fault, where=folder, remedy=_REMEDY)


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is inside a folder, by its own name or as a link."""
    places = {path.absolute(), path.resolve()}
    roots = {folder.absolute(), folder.resolve()}
    return any(place.is_relative_to(root) for place in places for root in roots)


def _ownership_fault(folder: Path, kind: FolderKind) -> str | None:
    if not folder.exists() and not folder.is_symlink():
        return None
    if folder.is_symlink() or not folder.is_dir():
        return f"is no folder that plgg made, and the {kind.name} would take its place"
    try:
        names = _names(folder)
        if names and _marked(folder, kind) is None and folder.is_dir():
            return f"holds {_listed(names)}, which plgg did not write: it is no {kind.name}"
    except FileNotFoundError:
        # Another process, which has locked the parent folder, is replacing it.
        return None
    return None


def _altered_fault(folder: Path, kind: FolderKind) -> str | None:
    names = _names(folder) if folder.is_dir() else []
    record = _marked(folder, kind)
    if record is None:
        return None
    strange = [name for name in names if not _is_own(folder, name, kind)]
    if strange:
        return f"holds {_listed(strange)}, which plgg did not write"
    altered = _altered(folder, record, kind)
    if altered:
        return f"{altered!a} was altered since plgg wrote it"
    return None


def _names(folder: Path) -> list[str]:
    """Files, links and empty folders below a folder; links are not followed."""
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir())
    ]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]!a}{more}"


def _is_own(folder: Path, name: str, kind: FolderKind) -> bool:
    path = folder / name
    plain = path.is_file() and not path.is_symlink()
    return plain and any(fnmatchcase(name, pattern) for pattern in kind.files)


def _marked(folder: Path, kind: FolderKind) -> Mapping[str, object] | None:
    """Contents of the mark; None if it is missing or of another kind."""
    path = folder / kind.mark
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_MARK_BYTES:
        return None
    if kind.format is None:
        return {}
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    own = isinstance(record, dict) and record.get("format") == kind.format
    return record if own else None


def _altered(folder: Path, record: Mapping[str, object], kind: FolderKind) -> str | None:
    """The first file that was altered since it was written; None if there is none."""
    hashes = record.get(kind.hashes) if kind.hashes else None
    for name, wanted in hashes.items() if isinstance(hashes, dict) else ():
        path = folder / name
        if _is_own(folder, name, kind) and sha256(path) != wanted:
            return str(name)
    return None


def remove_own(folder: Path, kind: FolderKind) -> None:
    """Delete plgg's files in a folder, and the folder if it is empty then; nothing is raised."""
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif _is_own(folder, name, kind):
                path.unlink()
    try:
        folder.rmdir()
    except OSError as error:
        log.warning("%s could not be removed (%s)", folder, error.strerror or error)


def clear_leftovers(folder: Path, kind: FolderKind | None = None) -> None:
    """Delete leftovers of killed processes in a folder that this process has locked.

    Unfinished files and folders are deleted. An old folder without a replacement is restored; else
    it is deleted if it is of this kind. Nothing is raised.
    """
    for path in sorted(folder.glob(".plgg-*")) if folder.is_dir() else ():
        parts = split_aside(path.name)
        if parts is None or path.is_symlink() or _is_in_use(path):
            continue
        whole = folder / parts[1]
        with suppress(OSError):
            if parts[0] == "old" and not whole.exists():
                path.rename(whole)
            elif not path.is_dir():
                path.unlink()
            elif parts[0] == "new":
                shutil.rmtree(path, ignore_errors=True)
            elif kind:
                remove_own(path, kind)


def _is_in_use(path: Path) -> bool:
    """Whether another command is using it: not all commands lock the parent folder."""
    return (path.is_dir() or path.name.endswith(BESIDE)) and is_in_use(path)


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)
