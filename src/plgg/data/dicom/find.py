"""Find DICOM files in a folder at any depth, in a zip, or a single one: first step of `read_dicom`.

A DICOM file is recognised by the letters DICM at byte 128, never by its name. A zip is not unpacked
to disk.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from plgg.core.errors import InputError
from plgg.core.regular import is_regular, is_there, open_regular, regular_files
from plgg.data.dicom.zipped import beginning, opened_zip, require_affordable_members, unpacked
from plgg.data.foreign import ForeignFormat, pointer

Opener = Callable[[], BinaryIO]
"""Opens one file, wherever it lies, at its first byte."""

_MARK_AT, _MARK = 128, b"DICM"
_WITHOUT_PREAMBLE = re.compile(
    rb"\x02\0\0\0UL\x04\0|\x08\0[\0-\x18]\0(?:(?:CS|UI|DA|TM|UL)..|.\0\0\0)", re.DOTALL
)
_ZIP_MARK = b"PK\x03\x04"
_MARK_END = _MARK_AT + len(_MARK)
_LOOKED_AT = 512
_SUFFIXES = (".dcm", ".ima", ".dicom")
_NON_DICOM_SUFFIXES = (
    ".b2nd", ".bval", ".bvec", ".csv", ".gz", ".html", ".jpg", ".json", ".jsonl", ".md", ".nii",
    ".pdf", ".png", ".safetensors", ".tsv", ".txt", ".xml", ".yaml", ".yml", ".zip",
)  # fmt: skip
_MOST_LOOKED_AT = 500
_MOST_FILES = 200_000
"""In one folder or zip. The largest studies hold some ten thousand."""


@dataclass(frozen=True, eq=False)
class DicomFiles:
    """Files that may be DICOM.

    Attributes:
        path: The folder, zip or file that they were found in, for messages.
        openers: By relative name, in order of name.
        doubts: What was passed over, one clause each.
        alone: Whether the path is the one file itself.
    """

    path: Path
    openers: dict[str, Opener]
    doubts: tuple[str, ...] = ()
    alone: bool = False

    def label(self, name: str) -> str:
        """Name of a file in a message: its number, since file names may identify people."""
        return (
            f"file {list(self.openers).index(name) + 1} of {len(self.openers)} (in order of name)"
        )

    def opened(self) -> Iterator[tuple[str, BinaryIO]]:
        """Name and open handle of every DICOM file, at its first byte; closed at the next.

        Raises:
            InputError: If one that is named as DICOM is something else, or there is none.
        """
        found = False
        for name, opener in self.openers.items():
            with opener() as handle:
                start = handle.read(_LOOKED_AT)
                handle.seek(0)
                if start[_MARK_AT:_MARK_END] == _MARK:
                    found = True
                    yield name, handle
                elif (kind := _unreadable(start)) or _named_as_dicom(name) or self.alone:
                    raise self._not_dicom(name, kind)
        if not found:
            raise InputError(
                "holds no DICOM file",
                where=self.path,
                remedy="Name a folder or zip of DICOM files.",
            )

    def _not_dicom(self, name: str, kind: ForeignFormat | None) -> InputError:
        place = "" if self.alone else f"{self.label(name)} "
        what = kind.what if kind else "is empty, cut short or not DICOM (no DICM at byte 128)"
        remedy = kind.remedy if kind else "Copy or export it again."
        return InputError(f"{place}{what}", where=self.path, remedy=remedy)


def _unreadable(start: bytes) -> ForeignFormat | None:
    """Recognise DICOM without a preamble and pointer files, which cannot be read; else None."""
    if _WITHOUT_PREAMBLE.match(start):
        return ForeignFormat(
            "is DICOM without the beginning that a file needs (128 bytes and DICM)",
            "Export it again, or mend each file with dcmconv (DCMTK).",
        )
    return pointer(start)


def is_dicom(path: Path) -> bool:
    """Whether a path is a DICOM file, or a folder or zip that holds one.

    A damaged zip counts as one, so that its reader reports the fault. In a folder or zip, only the
    first few hundred files are read, and none with the suffix of an image or record
    (`_NON_DICOM_SUFFIXES`).
    """
    if not is_there(path):
        return False
    if path.is_dir():
        files = (file for file in regular_files(path) if _may_be_dicom(file.name))
        return any(_begins_as_dicom(_start(file)) for file in islice(files, _MOST_LOOKED_AT))
    if not is_regular(path):
        return False
    start = _start(path)
    return _begins_as_dicom(start) or (_is_zip(path, start) and _zip_holds_dicom(path, start))


@contextmanager
def dicom_files(path: Path) -> Iterator[DicomFiles]:
    """The files at a path that may be DICOM.

    Raises:
        InputError: If there is nothing, or nothing that can be looked at: an unreadable zip or
            folder, a pipe, too many files.
    """
    if path.is_dir():
        yield _in_folder(path)
    elif not is_regular(path):
        what = "is neither a file nor a folder" if path.exists() else "no such file or folder"
        raise InputError(what, where=path, remedy="Check the path.")
    elif _is_zip(path, start := _start(path)) and not _begins_as_dicom(start):
        with opened_zip(path) as archive:
            yield _in_zip(archive, path)
    else:
        yield DicomFiles(path, {path.name: partial(_opened, path, path)}, alone=True)


def _begins_as_dicom(start: bytes) -> bool:
    """Whether first bytes are those of DICOM, with or without the preamble."""
    return start[_MARK_AT:_MARK_END] == _MARK or _WITHOUT_PREAMBLE.match(start) is not None


def _in_folder(folder: Path) -> DicomFiles:
    lost: list[Path] = []
    files: dict[str, Opener] = {}
    for file in regular_files(folder, on_lost=lost.append):
        if _may_be_dicom(file.name):
            files[file.relative_to(folder).as_posix()] = partial(_opened, file, folder)
        _refuse_too_many(len(files), folder)
    links = sum(os.path.islink(one) for one in lost)  # noqa: PTH114 - never raises
    if links < len(lost):
        raise InputError(
            f"{len(lost) - links} of its folders cannot be opened",
            where=folder,
            remedy="Mend their permissions.",
        )
    doubt = f"{links} link{'s' if links > 1 else ''} in the folder cannot be followed"
    return DicomFiles(folder, dict(sorted(files.items())), (doubt,) if links else ())


def _opened(file: Path, path: Path) -> BinaryIO:
    try:
        return open_regular(file)
    except OSError as error:
        where = "" if file == path else "a file in it "
        raise InputError(
            f"{where}cannot be opened ({error.strerror})",
            where=path,
            remedy="Mend its permissions.",
        ) from None


def _refuse_too_many(count: int, path: Path) -> None:
    if count > _MOST_FILES:
        raise InputError(
            f"holds more than {_MOST_FILES} files",
            where=path,
            remedy="Name the folder or zip of one patient.",
        )


def _in_zip(archive: zipfile.ZipFile, path: Path) -> DicomFiles:
    members = _members(archive)
    _refuse_too_many(len(members), path)
    wanted = {name for name, one in members.items() if _holds_dicom(archive, one)}
    require_affordable_members([members[name] for name in wanted], path)

    def opened(name: str) -> BinaryIO:
        if name not in wanted:
            return BytesIO()
        return unpacked(archive, members[name], path, partial(bad_member, name))

    def bad_member(name: str, what: str) -> InputError:
        return InputError(
            f"{files.label(name)} in the zip {what}",
            where=path,
            remedy="Copy the zip again, or unpack it and name the folder.",
        )

    files = DicomFiles(path, {name: partial(opened, name) for name in sorted(members)})
    return files


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Members that may be DICOM, by name, without the hidden files that macOS adds.

    Where a name is there several times, the later ones have a number appended.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        if info.is_dir() or Path(name).name.startswith(".") or not _may_be_dicom(name):
            continue
        found[name if name not in found else f"{name} ({len(found)})"] = info
    return found


def _holds_dicom(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether a member begins as DICOM, or cannot be read, so that it may."""
    start = beginning(archive, member, _MARK_END)
    return start is None or _begins_as_dicom(start)


def _zip_holds_dicom(path: Path, start: bytes) -> bool:
    try:
        with opened_zip(path) as archive:
            members = islice(_members(archive).values(), _MOST_LOOKED_AT)
            return any(_holds_dicom(archive, one) for one in members)
    except InputError:
        return start.startswith(_ZIP_MARK)


def _start(path: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with open_regular(path) as handle:
            return handle.read(_MARK_END)
    except OSError:
        return b""


def _is_zip(path: Path, start: bytes) -> bool:
    return path.suffix.lower() == ".zip" or start.startswith(_ZIP_MARK)


def _may_be_dicom(name: str) -> bool:
    return Path(name).suffix.lower() not in _NON_DICOM_SUFFIXES


def _named_as_dicom(name: str) -> bool:
    return Path(name).suffix.lower() in _SUFFIXES
