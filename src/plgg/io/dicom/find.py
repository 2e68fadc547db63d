"""Where DICOM files lie: in a folder at any depth, in a zip, or alone. First step of `read_dicom`.

A DICOM file is known by the letters DICM at byte 128, never by its name. A zip is not unpacked to
disk. Knows nothing of what the files say.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from plgg.errors import InputError

Opener = Callable[[], BinaryIO]
"""Opens one file, wherever it lies, at its first byte."""

_MARK_AT, _MARK = 128, b"DICM"
_SUFFIXES = (".dcm", ".ima", ".dicom")
_OTHERS = (
    ".b2nd", ".bval", ".bvec", ".csv", ".gz", ".html", ".jpg", ".json", ".jsonl", ".md", ".nii",
    ".pdf", ".png", ".safetensors", ".tsv", ".txt", ".xml", ".yaml", ".yml", ".zip",
)  # fmt: skip
_MOST_LOOKED_AT = 500
_DEEPEST = 8


def is_dicom(path: Path) -> bool:
    """Whether a path is a DICOM file, or a folder or zip that holds one.

    Looks at the first few hundred files only. NIfTI files and a program's own records are not
    opened at all.
    """
    if path.is_dir():
        files = (file for file in _walk(path) if _may_be_dicom(file.name))
        return any(_file_is_marked(file) for file in islice(files, _MOST_LOOKED_AT))
    if not path.is_file():
        return False
    if _file_is_marked(path):
        return True
    return path.suffix.lower() == ".zip" and _zip_holds_dicom(path)


@contextmanager
def dicom_files(path: Path) -> Iterator[dict[str, Opener]]:
    """Openers of all DICOM files at a path, keyed and sorted by relative name.

    Raises:
        InputError: If there are none, if one that is named as DICOM is something else, or if the
            zip cannot be read.
    """
    if path.is_dir():
        found = {file.relative_to(path).as_posix(): _opener(file) for file in _walk(path)}
        yield _marked(found, path)
    elif not path.is_file():
        raise InputError("no such file or folder", where=path, remedy="Check the path.")
    elif path.suffix.lower() == ".zip":
        with _archive(path) as archive:
            yield _marked({name: _member(archive, name, path) for name in _names(archive)}, path)
    else:
        yield _marked({path.name: _opener(path)}, path, must=True)


def is_marked(handle: BinaryIO) -> bool:
    """Whether an open file has the mark of DICOM; the place in the file is put back to 0."""
    mark = handle.read(_MARK_AT + len(_MARK))[_MARK_AT:]
    handle.seek(0)
    return mark == _MARK


def file_label(name: str, names: list[str]) -> str:
    """A name for one file in a message, free of what people put in file names."""
    return f"file {sorted(names).index(name) + 1} of {len(names)} (in order of name)"


def _walk(folder: Path) -> Iterator[Path]:
    depth = len(folder.parts)
    for root, folders, files in os.walk(folder):
        kept = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = kept if len(Path(root).parts) - depth < _DEEPEST else []
        yield from (Path(root) / name for name in sorted(files) if not name.startswith("."))


def _may_be_dicom(name: str) -> bool:
    return Path(name).suffix.lower() not in _OTHERS


def _named_as_dicom(name: str) -> bool:
    return Path(name).suffix.lower() in _SUFFIXES


def _file_is_marked(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            return is_marked(handle)
    except OSError:
        return False


def _zip_holds_dicom(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = islice((name for name in _names(archive)), _MOST_LOOKED_AT)
            return any(_member_is_marked(archive, name) for name in names)
    except (zipfile.BadZipFile, OSError):
        return False


def _member_is_marked(archive: zipfile.ZipFile, name: str) -> bool:
    try:
        with archive.open(name) as handle:
            return handle.read(_MARK_AT + len(_MARK)).endswith(_MARK)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, zlib.error, EOFError):
        return False


def _names(archive: zipfile.ZipFile) -> list[str]:
    """Members that may be DICOM; what macOS adds beside each file is left out."""
    return [
        info.filename
        for info in archive.infolist()
        if not info.is_dir()
        and not Path(info.filename).name.startswith(".")
        and _may_be_dicom(info.filename)
    ]


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            "is not a zip that can be read", where=path, remedy="Copy it again or unpack it."
        ) from error


def _opener(path: Path) -> Opener:
    def opened() -> BinaryIO:
        try:
            return path.open("rb")
        except OSError as error:
            raise InputError(
                f"cannot be opened ({error.strerror})", where=path, remedy="Mend its permissions."
            ) from error

    return opened


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> Opener:
    def opened() -> BinaryIO:
        try:
            return BytesIO(archive.read(name))
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError):
            raise InputError(
                f"{file_label(name, archive.namelist())} in the zip is damaged or encrypted",
                where=path,
                remedy="Copy the zip again, or unpack it and name the folder.",
            ) from None

    return opened


def _marked(found: dict[str, Opener], path: Path, *, must: bool = False) -> dict[str, Opener]:
    """The DICOM files among the found; one that only calls itself DICOM is refused."""
    kept = {}
    for name in sorted(found):
        if not _may_be_dicom(name) and not must:
            continue
        with found[name]() as handle:
            if is_marked(handle):
                kept[name] = found[name]
            elif _named_as_dicom(name) or must:
                place = "" if must else f"{file_label(name, list(found))} "
                raise InputError(
                    f"{place}is empty, cut short or not DICOM (no DICM at byte 128)",
                    where=path,
                    remedy="Copy or export it again.",
                )
    if not kept:
        raise InputError(
            "holds no DICOM file", where=path, remedy="Name a folder or zip of DICOM files."
        )
    return kept
