"""Files that are not NIfTI: recognise their format by magic bytes, with advice on conversion.

`convert_reader_errors` converts the errors of any reader to one `InputError`. Nothing is read
beyond the bytes that are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from plgg.core.errors import InputError, PlggError

Key = TypeVar("Key")

_FREESURFER = "Convert it: mri_convert {name} {stem}.nii.gz."
_SIMPLEITK = (
    "Convert it: python -c \"import SimpleITK as s; s.WriteImage(s.ReadImage('{name}'),"
    " '{stem}.nii.gz')\"."
)
_PAIR = "Convert both files into one: fslchfiletype NIFTI_GZ {stem}."
_AFNI = "Convert it: 3dAFNItoNIFTI -prefix {stem}.nii.gz {name}."
_NO_IMAGE = "Name an image of the head as NIfTI or DICOM."
_SURFACE = "Name the image that it was computed from, as NIfTI or DICOM."
_AGAIN = "Copy or export it again."
_UNPACK = "Unpack it and name the image in it."


@dataclass(frozen=True)
class ForeignFormat:
    """A file format other than NIfTI.

    Attributes:
        what: One clause, such as `is FreeSurfer's MGH format`.
        remedy: How to convert it, or what to do instead.
    """

    what: str
    remedy: str


_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (128, b"DICM", "is DICOM, not NIfTI", "Name it without the suffix .nii, or its folder."),
    (0, b"NRRD000", "is NRRD, not NIfTI", _SIMPLEITK),
    (0, b"\x89HDF\r\n", "is HDF5 (as MINC 2 and MATLAB use), not NIfTI", _FREESURFER),
    (0, b"CDF\x01", "is NetCDF (as MINC 1 uses), not NIfTI", _FREESURFER),
    (0, b"CDF\x02", "is NetCDF (as MINC 1 uses), not NIfTI", _FREESURFER),
    (0, b"MATLAB 5.0", "is a MATLAB file, not an image", _NO_IMAGE),
    (0, b"\x93NUMPY", "is a NumPy array, not an image", _NO_IMAGE),
    (0, b"\x1f\x8b", "is compressed twice (gzip within gzip)", "Unpack it once: gunzip."),
    (0, b"PK\x03\x04", "is a zip archive without DICOM in it", _UNPACK),
    (0, b"PK\x05\x06", "is an empty zip archive", _NO_IMAGE),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7z archive", _UNPACK),
    (0, b"Rar!", "is a RAR archive", _UNPACK),
    (257, b"ustar", "is a tar archive", _UNPACK),
    (0, b"BZh", "is compressed with bzip2, not gzip", "Unpack it: bunzip2."),
    (0, b"\xfd7zXZ", "is compressed with xz, not gzip", "Unpack it: unxz."),
    (0, b"\x28\xb5\x2f\xfd", "is compressed with Zstandard, not gzip", "Unpack it: unzstd."),
    (0, b"\x89PNG", "is a PNG picture, not a scan", _NO_IMAGE),
    (0, b"\xff\xd8\xff", "is a JPEG picture, not a scan", _NO_IMAGE),
    (0, b"GIF8", "is a GIF picture, not a scan", _NO_IMAGE),
    (0, b"II*\0", "is a TIFF picture, not a scan", _NO_IMAGE),
    (0, b"MM\0*", "is a TIFF picture, not a scan", _NO_IMAGE),
    (0, b"%PDF", "is a PDF, not a scan", _NO_IMAGE),
    (0, b"\0\0\0\x01\0\0", "is FreeSurfer's MGH format, not NIfTI", _FREESURFER),
)
_WORDS: tuple[tuple[bytes, str, str], ...] = (
    (b"git-lfs", "is a Git LFS pointer: its content is not here", "Fetch it: git lfs pull."),
    (b"annex/objects", "is a git-annex pointer: its content is not here", "Run git annex get."),
    (b"<gifti", "is GIFTI: a surface, not an image", _SURFACE),
    (b"<!doctype html", "is a web page, as a failed download leaves", "Download it again."),
    (b"<html", "is a web page, as a failed download leaves", "Download it again."),
    (b"<?xml", "is XML, not an image", _NO_IMAGE),
    (b"dataset_rank", "is the header of an AFNI dataset, not NIfTI", _AFNI),
    (b"string-attribute", "is the header of an AFNI dataset, not NIfTI", _AFNI),
    (b"integer-attribute", "is the header of an AFNI dataset, not NIfTI", _AFNI),
    (b"objecttype", "is MetaImage, not NIfTI", _SIMPLEITK),
    (b"ndims =", "is MetaImage, not NIfTI", _SIMPLEITK),
)
_NAMES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    ((".mgz", ".mgh"), "is named as FreeSurfer's MGH format, not NIfTI", _FREESURFER),
    ((".mnc", ".mnc.gz"), "is named as MINC, not NIfTI", _FREESURFER),
    ((".brik", ".brik.gz", ".head"), "is named as a part of an AFNI dataset, not NIfTI", _AFNI),
    ((".nrrd", ".nhdr"), "is named as NRRD, not NIfTI", _SIMPLEITK),
    ((".mha", ".mhd", ".raw"), "is named as MetaImage, not NIfTI", _SIMPLEITK),
    ((".gii",), "is named as GIFTI: a surface, not an image", _SURFACE),
    ((".par", ".rec"), "is named as Philips PAR/REC, not NIfTI", "Export DICOM instead."),
    ((".img", ".img.gz", ".hdr", ".hdr.gz"), "is named as one half of a .hdr/.img pair", _PAIR),
)


def foreign(start: bytes, path: Path) -> ForeignFormat:
    """Recognise the format of a file that does not begin as NIfTI does.

    Args:
        start: Its first few hundred bytes, decompressed if it is gzip.
        path: Path of the file.
    """
    kind = _by_content(start) or _by_name(path.name.lower()) or _unknown(start)
    return ForeignFormat(kind.what, _filled(kind.remedy, path))


def pointer(start: bytes) -> ForeignFormat | None:
    """Recognise a pointer file, such as of Git LFS or git-annex; None for any other file."""
    found = _first(_WORDS, lambda word: word in start) if _is_text(start) else None
    return found if found and "pointer" in found.what else None


def describe_pair_header(path: Path) -> ForeignFormat:
    """Describe the header file of a pair, whose voxels are in another file."""
    what = "is the header of a .hdr/.img pair (NIfTI or Analyze), without the voxels"
    return ForeignFormat(what, _filled(_PAIR, path))


def _by_content(start: bytes) -> ForeignFormat | None:
    for at, magic, what, remedy in _MAGIC:
        if start[at : at + len(magic)] == magic:
            return ForeignFormat(what, remedy)
    if not start:
        return ForeignFormat("is empty", _AGAIN)
    if not _is_text(start):
        return None
    words = start.lower()
    return _first(_WORDS, lambda word: word in words)


def _by_name(name: str) -> ForeignFormat | None:
    return _first(_NAMES, lambda endings: name.endswith(endings))


def _unknown(start: bytes) -> ForeignFormat:
    if not any(start):
        return ForeignFormat("holds only zeros, as a copy that failed leaves", _AGAIN)
    if _is_text(start):
        return ForeignFormat("is text, not an image", _NO_IMAGE)
    return ForeignFormat("is not NIfTI: it does not begin as such a file does", _AGAIN)


def _first(
    table: tuple[tuple[Key, str, str], ...], fits: Callable[[Key], bool]
) -> ForeignFormat | None:
    return next((ForeignFormat(what, remedy) for key, what, remedy in table if fits(key)), None)


def _is_text(start: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in start)


def _filled(remedy: str, path: Path) -> str:
    stem = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    return remedy.replace("{name}", path.name).replace("{stem}", stem)


@contextmanager
def convert_reader_errors(refusal: Callable[[], InputError]) -> Iterator[None]:
    """Convert any exception of a reader at a damaged or hostile file to one error.

    pydicom, its decoders, zipfile, nibabel and Pillow raise some twenty kinds of exception at such
    files, and not all are documented.

    Raises:
        InputError: The error that `refusal` returns; plgg's own errors pass unchanged.
    """
    try:
        yield
    except PlggError:
        raise
    except MemoryError:
        raise InputError(
            "takes more memory than there is",
            where=refusal().where,
            remedy="Close other programs, or crop the scan first.",
        ) from None
    except Exception:  # noqa: BLE001 - the one guard around the readers
        raise refusal() from None
