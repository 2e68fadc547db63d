"""Write files atomically: under a random temporary name, synced to disk, then renamed.

`plgg.core.folders` writes whole folders, and `plgg.core.output` checks what may be written where.

    write_json(run / "split.json", record)
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from plgg.core.errors import OutputError

_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_ASIDE = re.compile(r"\.plgg-(new|old)-[0-9a-f]{16}\.(.+)", flags=re.DOTALL)


def make_folder(path: Path) -> Path:
    """Create a folder and its parents, and check that it can be written to.

    Raises:
        OutputError: If it cannot be made, or not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise OutputError(
            f"cannot write here ({error.strerror or error})",
            where=path,
            remedy="Choose another folder or mend its permissions.",
        ) from error


@contextmanager
def convert_inspection_errors(path: Path) -> Iterator[None]:
    """Convert file-system errors, while a path is inspected, to an `OutputError`.

    Raises:
        OutputError: For example, if a name is too long, a link leads in a circle, or a folder may
            not be looked into.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        # For cyclic links, Python 3.11 raises a RuntimeError, which has no `strerror`.
        said = getattr(error, "strerror", None) or "its links lead in a circle"
        raise OutputError(
            f"cannot be looked at ({said})",
            where=path,
            remedy="Choose another folder or mend its permissions.",
        ) from error


@contextmanager
def convert_write_errors(
    path: Path, *, remedy: str = "Check free space and permissions."
) -> Iterator[None]:
    """Convert file-system errors, while something is written, to an `OutputError`.

    Args:
        path: Path of the output, for the message.
        remedy: What to do then.

    Raises:
        OutputError: For example, if the disk is full.
    """
    try:
        yield
    except OSError as error:
        # A `shutil.Error` of many files has no single reason.
        many = isinstance(error, shutil.Error)
        why = "not all of it could be copied" if many else error.strerror or error
        raise OutputError(f"could not be written ({why})", where=path, remedy=remedy) from error


def require_no_file(folder: Path) -> None:
    """Check that the path of an output folder is free or already a folder.

    Raises:
        OutputError: If a file is there, or the path is invalid.
    """
    with convert_inspection_errors(folder):
        is_other = folder.exists() and not folder.is_dir()
    if is_other:
        raise OutputError("is a file, not a folder", where=folder, remedy="Name a folder.")


def temporary_name(path: Path, kind: Literal["new", "old"] = "new") -> Path:
    """A random name beside `path` for unfinished (`new`) or replaced (`old`) files and folders.

    It keeps the suffixes of `path`, because libraries choose the format by them.
    """
    return path.with_name(f".plgg-{kind}-{secrets.token_hex(8)}.{path.name}")


def split_aside(name: str) -> tuple[str, str] | None:
    """Split a name of `temporary_name` into its kind (`new`, `old`) and original; None for others.

    >>> split_aside(".plgg-new-0123456789abcdef.mask.nii.gz")
    ('new', 'mask.nii.gz')
    """
    parts = _ASIDE.fullmatch(name)
    return (parts[1], parts[2]) if parts else None


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it only if the block succeeds.

    The file is synced to disk before it is renamed, so that a power cut leaves the old one or the
    new one. If `path` is a link, the link is replaced and its target is left alone.

    Raises:
        OutputError: If the disk refuses, for example because it is full.
    """
    make_folder(path.parent)
    aside = temporary_name(path)
    try:
        with convert_write_errors(path):
            yield aside
            sync(aside)
            aside.replace(path)
            sync(path.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder atomically; the target must not exist.

    Raises:
        OutputError: If the disk refuses.
    """
    aside = temporary_name(target)
    try:
        with convert_write_errors(target):
            shutil.copytree(source, aside)
            aside.rename(target)
    except OutputError:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def sync(path: Path) -> None:
    """Sync a file's contents, or a folder's entries, to disk (fsync).

    It has no effect where that is unsupported: for folders on Windows, and on some file systems.
    """
    folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    except PermissionError:
        if folder:
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network and virtual file systems have no fsync. A full disk may be found out here.
        if not folder and error.errno not in _NO_FSYNC:
            raise
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Surrogates, as in file names that are no Unicode (PEP 383), are written as JSON escapes, so that
    `read_json` restores them.
    """
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, record: Any) -> None:  # noqa: ANN401 - JSON is any
    """Write a JSON file atomically; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
