"""Read NIfTI files as `Volume`, and write them.

Any orientation and any affine that can be inverted; nothing is reoriented or resampled here. A file
is read once and in pieces: its header is checked first, its voxels become float32 as they are
decompressed, and the same pass computes its hash.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.files import atomic_write
from plgg.core.regular import require_readable
from plgg.core.unpack import Gzip, Plain, unpacking
from plgg.core.volume import Volume
from plgg.data.foreign import convert_reader_errors
from plgg.data.nifti.header import Header, read_header, scaled

_LOGGER = logging.getLogger(__name__)
SUFFIXES = (".nii", ".nii.gz")
MOST_TRAILING_BYTES = 2**20
"""Bytes that may follow an image: padding and leftovers of some writers."""
_CHUNK_BYTES = 2**22
_AGAIN = "Copy or convert it again."


@dataclass(frozen=True, eq=False)
class NiftiScan:
    """One NIfTI file, read.

    Attributes:
        volume: float32, in its own orientation.
        doubts: Warnings about its header, one clause each.
        sha256: Hash of the file's bytes as they are on disk.
        says_how: Whether its header gives an orientation; if not, left, front and up are guesses.
    """

    volume: Volume
    doubts: tuple[str, ...]
    sha256: str
    says_how: bool


def is_nifti(path: Path) -> bool:
    """Whether a path is named as a NIfTI file."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """File name without `.nii` or `.nii.gz`, in upper or lower case."""
    length = next((len(end) for end in reversed(SUFFIXES) if path.name.lower().endswith(end)), 0)
    return path.name[: len(path.name) - length]


def read_volume(path: Path) -> Volume:
    """Read one 3-D image as float32; see `read_nifti`."""
    return read_nifti(path).volume


def read_nifti(path: Path) -> NiftiScan:
    """Read one 3-D image as float32; a 4-D file is accepted if it holds a single volume.

    Returns:
        The image in its own orientation, header scaling applied, lengths in mm whatever the
        header's unit; warnings; the file's hash.

    Raises:
        InputError: If the file is missing, no regular file, not NIfTI, damaged or truncated, larger
            than the budget (`plgg.data.budget`), of more than one volume or of other than real
            numbers; if its voxel size is unknown, its affine cannot be inverted, or sform and qform
            are mirror images.
    """
    require_readable(path)
    with (
        convert_reader_errors(lambda: _refusal("cannot be read as NIfTI", path)),
        unpacking(path) as source,
    ):
        with _convert_read_errors(path):
            header = read_header(source.read, path)
            _require_suffix(source, path)
            _require_length(source, header, path)
            data = _voxels(source, header, path)
            doubts = (*header.geometry.doubts, *_warn_of_trailing_bytes(source, path))
            digest = source.sha256()
        return NiftiScan(_as_volume(data, header, path), doubts, digest, header.geometry.says_how)


def _refusal(what: str, path: Path, remedy: str = _AGAIN) -> InputError:
    return InputError(what, where=path, remedy=remedy)


@contextmanager
def _convert_read_errors(path: Path) -> Iterator[None]:
    """Convert errors at a damaged file to messages."""
    try:
        yield
    except EOFError as error:
        raise _refusal("is truncated: the compressed file ends too early", path) from error
    except zlib.error as error:
        raise _refusal(
            "is damaged: it does not unpack, or not to what its checksum says", path
        ) from error
    except OSError as error:
        raise _refusal(f"cannot be read ({(error.strerror or 'error').lower()})", path) from error


def _require_suffix(source: Plain | Gzip, path: Path) -> None:
    """Refuse a suffix that contradicts the compression, since other tools rely on it."""
    named = path.name.lower().endswith(".gz")
    if named != isinstance(source, Gzip):
        what = "is not gzip, though its name says so" if named else "is gzip, though not so named"
        raise _refusal(what, path, f"Rename it to {stem(path)}{'.nii' if named else '.nii.gz'}.")


def _require_length(source: Plain | Gzip, header: Header, path: Path) -> None:
    """Refuse a file that cannot hold its image, or is far larger than that."""
    packed = isinstance(source, Gzip)
    if not packed and source.size < header.n_bytes:
        raise _truncated(header, source.size, path)
    if source.size > header.n_bytes + header.n_bytes // 64 + MOST_TRAILING_BYTES:
        raise _too_long(path)


def _voxels(source: Plain | Gzip, header: Header, path: Path) -> NDArray[np.float32]:
    """Read the voxels in pieces, which take only a few MiB beside the image."""
    data = np.empty(header.shape, dtype=np.float32, order="F")
    flat = data.reshape(-1, order="F")
    _skip(source, header, path)
    step = _CHUNK_BYTES // header.dtype.itemsize
    with np.errstate(all="ignore"):  # The check reports infinite values.
        for first in range(0, flat.size, step):
            n_voxels = min(step, flat.size - first)
            raw = source.read(n_voxels * header.dtype.itemsize)
            if len(raw) < n_voxels * header.dtype.itemsize:
                held = header.offset + first * header.dtype.itemsize + len(raw)
                raise _truncated(header, held, path)
            stored = np.frombuffer(raw, dtype=header.dtype)
            flat[first : first + n_voxels] = scaled(stored, header)
    return data


def _skip(source: Plain | Gzip, header: Header, path: Path) -> None:
    """Skip the bytes between header and voxels."""
    left = header.offset - header.n_read
    while left > 0:
        piece = source.read(min(left, _CHUNK_BYTES))
        if not piece:
            raise _truncated(header, header.offset - left, path)
        left -= len(piece)


def _warn_of_trailing_bytes(source: Plain | Gzip, path: Path) -> Iterator[str]:
    """Warn of bytes after the image; reading them also verifies the last checksum."""
    rest = len(source.read(MOST_TRAILING_BYTES + 1))
    if rest > MOST_TRAILING_BYTES:
        raise _too_long(path)
    if rest or source.trailing:
        yield "something follows its image that was not read"


def _truncated(header: Header, held: int, path: Path) -> InputError:
    return _refusal(
        f"is truncated: its header declares {header.n_bytes} bytes, and it holds {held}", path
    )


def _too_long(path: Path) -> InputError:
    return _refusal("is far larger than the image that its header declares", path)


def _as_volume(data: NDArray[np.float32], header: Header, path: Path) -> Volume:
    geometry = header.geometry
    if geometry.conflict_mm is not None:
        gap = geometry.conflict_mm
        _LOGGER.warning("%s: sform and qform differ by %.5g mm; the sform is used", path, gap)
    try:
        return Volume(data, geometry.affine)
    except InputError as error:
        raise InputError(error.what, where=path, remedy=error.remedy) from error


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume with its affine as both sform and qform; bool becomes uint8.

    The sform is the exact affine (as float32, NIfTI's own precision); the qform is its nearest
    shear-free relative, for viewers that read only that.
    """
    data = volume.data.astype(np.uint8) if volume.data.dtype == np.bool_ else volume.data
    image = nib.Nifti1Image(data, volume.affine)
    _save(path, image, volume.affine)


def write_probability(path: Path, volume: Volume) -> None:
    """Write probabilities in [0, 1] as 8-bit codes with a header slope of 1/255 (error ≤ 0.002)."""
    codes = np.round(np.clip(volume.data, 0.0, 1.0) * 255.0).astype(np.uint8)
    image = nib.Nifti1Image(codes, volume.affine)
    image.header.set_slope_inter(1.0 / 255.0, 0.0)
    _save(path, image, volume.affine)


def _save(path: Path, image: nib.Nifti1Image, affine: NDArray[np.float64]) -> None:
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner", strip_shears=True)
    image.header.set_xyzt_units("mm")
    raw = image.to_bytes()
    if path.name.endswith(".gz"):
        # No time stamp, so that equal images are equal files; level 1 is 5 times faster than 9.
        raw = gzip.compress(raw, compresslevel=1, mtime=0)
    with atomic_write(path) as aside:
        aside.write_bytes(raw)
