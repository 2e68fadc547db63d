"""`save_upload`: save the files of a request atomically as the scan of a case.

A client's file name gives the format and, by default, the name of the case. On disk a scan is named
after its case, and the files of a DICOM folder are numbered. Before anything is queued, NIfTI files
of too many voxels and zips that unpack to too much are refused (413).
"""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from plgg.config.base import SEQUENCES
from plgg.core.case_id import case_id_fault, case_id_of
from plgg.core.errors import InputError
from plgg.core.files import make_folder, sync, write_json
from plgg.core.folders import scratch_folder
from plgg.core.unpack import GZIP_MAGIC, unpacking
from plgg.data.budget import scan_limit
from plgg.data.dicom.find import is_dicom
from plgg.data.dicom.zipped import opened_zip, require_affordable_members, unpacked
from plgg.data.nifti.header import read_header
from plgg.data.nifti.image import is_nifti, stem
from plgg.data.scan import scan_sha256
from plgg.serve.errors import RequestError
from plgg.serve.records import UploadRecord, now
from plgg.serve.work import WorkFolder

MOST_FILES = 5000
_PLACE = threading.Lock()
_ZIP_MARK = b"PK\x03\x04"
# Not allowed at the end of a case's name, as its files would seem to be of another format.
_ENDINGS = re.compile(r"\.(nii|gz|zip|dcm|csv|json)$", flags=re.IGNORECASE)
_COPY_BYTES = 2**20
# In effect no limit: the header is always read, and its shape is checked afterwards.
_ANY_GIB = 2**20
Kind = Literal["nifti", "dicom"]


@dataclass(frozen=True)
class UploadedFile:
    """An uploaded file.

    Attributes:
        name: File name of the client, with or without folders.
        file: Its contents, positioned at the first byte.
    """

    name: str
    file: BinaryIO

    @property
    def base(self) -> str:
        """The name without folders, with either kind of slash."""
        return PurePosixPath(self.name.replace("\\", "/")).name

    def begins(self, n_bytes: int) -> bytes:
        """Its first bytes."""
        start = self.file.read(n_bytes)
        self.file.seek(0)
        return start


@dataclass(frozen=True)
class Patient:
    """Patient data from a client; `case_id` is None where the server chooses one."""

    case_id: str | None = None
    age_years: float | None = None
    sex: Literal["F", "M"] | None = None


def save_upload(
    work: WorkFolder,
    files: Sequence[UploadedFile],
    patient: Patient,
    *,
    others: dict[str, UploadedFile] | None = None,
    voxels: int,
) -> UploadRecord:
    """Save a scan in `uploads/CASE`.

    Args:
        work: The reading room.
        files: One NIfTI file, one zip, or the files of a DICOM folder.
        patient: Patient data, and the name of the case if it was given.
        others: Further sequences of the patient, NIfTI each.
        voxels: Largest number of voxels of one image.

    Raises:
        RequestError: 409 if there is such a case, 413 if it is too large, 415 if it is no scan, 422
            if it cannot be read or the name cannot be that of a case.
    """
    if patient.case_id is not None:
        _require_name(patient.case_id)
        _require_free(work, patient.case_id)
    if not files:
        raise RequestError(422, "no file was sent", where="files", remedy="Choose a scan.")
    with scratch_folder(make_folder(work.uploads) / "scan") as aside:
        kind, path, name = _received(aside, files, voxels)
        named = {key: _other(aside, key, file, voxels) for key, file in (others or {}).items()}
        digest = _digest(path, named.values())
        wanted = patient.case_id or (case_id_of(name) if name else f"scan-{digest[:8]}")
        with _PLACE:
            return _move_into_place(
                work, aside, _Upload(kind, path, named, digest), patient, wanted
            )


@dataclass(frozen=True)
class _Upload:
    kind: Kind
    scan: Path
    others: dict[str, Path]
    digest: str


def _move_into_place(
    work: WorkFolder, aside: Path, found: _Upload, patient: Patient, wanted: str
) -> UploadRecord:
    """Name a scan and move it into `uploads`; the caller holds the lock."""
    case_id = wanted if patient.case_id else _free_name(work, wanted)
    _require_free(work, case_id)
    endings = "".join(s for s in found.scan.suffixes if s in (".nii", ".gz", ".zip"))
    scan = found.scan.rename(aside / f"{case_id}{endings}")
    others = {
        name: path.rename(aside / f"{case_id}_{name}{''.join(path.suffixes)}").name
        for name, path in found.others.items()
    }
    record = UploadRecord(
        case_id=case_id,
        scan=scan.name,
        kind=found.kind,
        others=others,
        created=now(),
        age_years=patient.age_years,
        sex=patient.sex,
        digest=found.digest,
    )
    write_json(aside / "upload.json", record.model_dump(mode="json"))
    for path in aside.rglob("*"):
        sync(path)
    sync(aside)
    aside.rename(work.uploads / case_id)
    sync(work.uploads)
    return record


def save_fetched_folder(work: WorkFolder, folder: Path, case_id: str) -> UploadRecord:
    """Save a folder of DICOM files that was fetched from a PACS; it is moved.

    Raises:
        RequestError: 409, if there is such a case.
    """
    _require_free(work, case_id)
    with scratch_folder(make_folder(work.uploads) / "scan") as aside:
        scan = folder.rename(aside / "scan")
        found = _Upload("dicom", scan, {}, _digest(scan, ()))
        with _PLACE:
            return _move_into_place(work, aside, found, Patient(case_id), case_id)


def _require_name(case_id: str) -> None:
    fault = case_id_fault(case_id)
    if fault is None and _ENDINGS.search(case_id):
        fault = "ends as the name of a file"
    if fault:
        raise RequestError(
            422,
            f"the name of the case {fault}",
            where="id",
            remedy="Use letters, digits, '.', '_' and '-', the first a letter or digit.",
        )


def _existing_names(work: WorkFolder) -> set[str]:
    """Names of cases in lower case: some file systems do not distinguish 'A' from 'a'."""
    return {name.lower() for name in work.case_ids()}


def _require_free(work: WorkFolder, case_id: str) -> None:
    if case_id.lower() in _existing_names(work):
        raise RequestError(
            409, "there is such a case already", where=case_id, remedy="Choose another id."
        )


def _free_name(work: WorkFolder, wanted: str) -> str:
    """The wanted name made valid, with a number if it is in use."""
    while _ENDINGS.search(wanted):
        wanted = _ENDINGS.sub("", wanted)
    wanted = wanted[:90].rstrip(".")
    if case_id_fault(wanted):
        wanted = f"scan-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    taken, name, number = _existing_names(work), wanted, 1
    while name.lower() in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _received(aside: Path, files: Sequence[UploadedFile], voxels: int) -> tuple[Kind, Path, str]:
    """Write and check a scan; returns its format, its path, and a name for the case or ""."""
    if any(is_nifti(Path(given.base)) for given in files):
        if len(files) > 1:
            raise RequestError(
                422,
                f"{len(files)} files were sent as one scan, NIfTI among them",
                where="files",
                remedy="Send one NIfTI file a case; other sequences in fields named t1, t1c, t2.",
            )
        return "nifti", _nifti(aside, "scan", files[0], voxels), stem(Path(files[0].base))
    if len(files) == 1 and files[0].begins(4) == _ZIP_MARK:
        return _zip(aside, files[0], voxels)
    return "dicom", _folder(aside, files), ""


def _nifti(aside: Path, name: str, given: UploadedFile, voxels: int) -> Path:
    packed = given.begins(2) == GZIP_MAGIC
    path = _written(aside / f"{name}{'.nii.gz' if packed else '.nii'}", given.file)
    require_voxels(path, voxels)
    return path


def _other(aside: Path, sequence: str, given: UploadedFile, voxels: int) -> Path:
    if sequence not in SEQUENCES or not is_nifti(Path(given.base)):
        raise RequestError(
            422, "is no NIfTI file of a sequence", where=sequence, remedy=f"Of: {SEQUENCES}."
        )
    return _nifti(aside, sequence, given, voxels)


def require_voxels(path: Path, voxels: int) -> None:
    """Check that a NIfTI header declares at most so many voxels.

    Raises:
        RequestError: 413 if there are more, 422 if the header cannot be read.
    """
    try:
        with scan_limit(_ANY_GIB), unpacking(path) as source:
            shape = read_header(source.read, path).shape
    except InputError as error:
        raise RequestError(422, error.what, where="the scan", remedy=error.remedy) from error
    except Exception as error:  # gzip that is damaged
        raise RequestError(422, "cannot be unpacked", where="the scan") from error
    if math.prod(shape) > voxels:
        sides = "×".join(map(str, shape))
        raise RequestError(
            413, f"has {sides} voxels, and {voxels} in all are the most", where="the scan"
        )


def _zip(aside: Path, given: UploadedFile, voxels: int) -> tuple[Kind, Path, str]:
    """Keep a zip of DICOM as it is; of one that holds a NIfTI file, keep that file."""
    path = _written(aside / "scan.zip", given.file)
    try:
        with opened_zip(path) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            if len(members) > MOST_FILES * 4:
                raise RequestError(413, f"holds {len(members)} files", where="the zip")
            _require_affordable(members, path)
            images = [one for one in members if is_nifti(Path(one.filename)) and _is_own(one)]
            if len(images) > 1:
                raise RequestError(
                    422, f"holds {len(images)} NIfTI files", where="the zip", remedy="Send one."
                )
            if images:
                data = unpacked(archive, images[0], path, lambda what: InputError(what))
                image = UploadedFile(images[0].filename, data)
                found = _nifti(aside, "scan", image, voxels)
                path.unlink()
                return "nifti", found, stem(Path(image.base))
    except InputError as error:
        raise RequestError(422, error.what, where="the zip", remedy=error.remedy) from error
    if not is_dicom(path):
        raise _no_scan()
    return "dicom", path, ""


def _is_own(member: object) -> bool:
    """Whether a member of a zip is not a resource fork of macOS."""
    return "__MACOSX" not in getattr(member, "filename", "")


def _require_affordable(members: Sequence[object], path: Path) -> None:
    try:
        require_affordable_members(list(members), path)  # type: ignore[arg-type]
    except InputError as error:
        raise RequestError(413, error.what, where="the zip", remedy=error.remedy) from error


def _folder(aside: Path, files: Sequence[UploadedFile]) -> Path:
    """Write the files of a DICOM folder, numbered; the names of the client are dropped."""
    folder = make_folder(aside / "scan")
    for number, given in enumerate(files, 1):
        _written(folder / f"{number:05d}.dcm", given.file)
    for path in list(folder.iterdir()):
        if not is_dicom(path):
            path.unlink()
    if not any(folder.iterdir()):
        raise _no_scan()
    return folder


def _no_scan() -> RequestError:
    return RequestError(
        415,
        "is no NIfTI file (.nii, .nii.gz), no DICOM and no zip of either",
        where="files",
        remedy="Choose a scan.",
    )


def _written(path: Path, file: BinaryIO) -> Path:
    with path.open("xb") as out:
        shutil.copyfileobj(file, out, _COPY_BYTES)
    return path


def _digest(scan: Path, others: Iterable[Path]) -> str:
    """SHA-256 of the scan's bytes; of several files, of their hashes."""
    with scan_limit(_ANY_GIB):
        hashes = [str(scan_sha256(path)) for path in (scan, *others)]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()
