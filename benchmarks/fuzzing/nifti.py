"""Damage for NIfTI files: fields of the header, sizes, cuts, bits, gzip members and checksums.

    for number in range(10_000):
        attempt(damaged(number), folder)  # raises for all but a clear answer

Each mutator takes a file's bytes and a random generator and gives other bytes. Those of `PLAIN`
work on what is unpacked, those of `PACKED` on gzip.
"""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from plgg.core.errors import InputError
from plgg.data.budget import scan_limit
from plgg.data.scan import Scan, open_scan, scan_sha256

Mutator = Callable[[bytes, random.Random], bytes]

LIMIT_BYTES = 2**26
"""Budget under which the files are read: small, so that what is beyond it shows."""
SHAPE = (6, 7, 8)
SEEDS = ("plain", "oblique", "qform", "silent", "big-endian", "nifti-2", "float64", "scaled", "4-D")
NAMES = ("scan.nii.gz", "scan.nii", "scan.NII.GZ", "scan.mgz", "scan.img", "scan.hdr", "scan")
INTEGERS = (0, 1, 2, 3, 4, 7, 8, 255, 256, 348, 352, 540, 32767, -1, -2, -32768, 2**31 - 1, 2**62)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 352.0, 1e-45, 1e-30, 1e9, 1e38, -1e38, np.inf, -np.inf, np.nan)


@dataclass(frozen=True)
class File:
    """A damaged file: its name and its bytes."""

    name: str
    content: bytes


@cache
def seed_bytes(seed: str) -> bytes:
    """A sound file, unpacked, of one of `SEEDS`."""
    rng = np.random.default_rng(0)
    data = rng.integers(0, 1000, SHAPE).astype(np.float64 if seed == "float64" else np.int16)
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = (turn if seed == "oblique" else np.eye(3)) @ np.diag([-1.0, 1.2, 4.0])
    data = data[..., np.newaxis] if seed == "4-D" else data
    kind = nib.Nifti2Image if seed == "nifti-2" else nib.Nifti1Image
    order = nib.Nifti1Header(endianness=">") if seed == "big-endian" else None
    image = kind(data, affine, order)
    codes = {"qform": (0, 1), "silent": (0, 0)}.get(seed, (1, 1))
    image.set_sform(affine, code=codes[0])
    image.set_qform(affine, code=codes[1])
    if seed == "scaled":
        image.header.set_slope_inter(0.5, -3.0)
    return bytes(image.to_bytes())


@cache
def gzipped(seed: str) -> bytes:
    """A sound file, packed, of one of `SEEDS`."""
    return gzip.compress(seed_bytes(seed), 1, mtime=0)


def field(raw: bytes, rng: random.Random) -> bytes:
    """One field of the header, or one element of it, with an extreme or a random value."""
    kind = nib.Nifti2Header if raw[:2] in (b"\x1c\x02", b"\0\0") else nib.Nifti1Header
    fields = kind.template_dtype.fields
    name = rng.choice(list(fields))
    dtype, offset = fields[name][:2]
    item = dtype.base
    at = offset + item.itemsize * rng.randrange(max(1, dtype.itemsize // item.itemsize))
    if item.kind == "f":
        new = np.array(rng.choice(FLOATS), item).tobytes()
    elif item.kind in "iu" and rng.random() < 0.7:
        bits = 8 * item.itemsize
        new = (rng.choice(INTEGERS) % 2**bits).to_bytes(
            item.itemsize, rng.choice(("little", "big"))
        )
    else:
        new = rng.randbytes(item.itemsize)
    return _put(raw, at, new)


def sides(raw: bytes, rng: random.Random) -> bytes:
    """Other dimensions: some possible, some huge, some none."""
    dim = [rng.choice((0, 1, 2, 3, 4, 5, 7, 8)), *(rng.choice(INTEGERS) for _ in range(7))]
    return _put(raw, 40, struct.pack("<8h", *(side % 2**15 for side in dim)))


def header_bytes(raw: bytes, rng: random.Random) -> bytes:
    """Random bytes somewhere in the header."""
    return _put(raw, rng.randrange(352), rng.randbytes(rng.randint(1, 16)))


def bit(raw: bytes, rng: random.Random) -> bytes:
    """One bit the other way, anywhere."""
    if not raw:
        return raw
    at = rng.randrange(len(raw))
    return _put(raw, at, bytes([raw[at] ^ 1 << rng.randrange(8)]))


def cut(raw: bytes, rng: random.Random) -> bytes:
    """The file ends early."""
    return raw[: rng.randrange(len(raw) + 1)]


def longer(raw: bytes, rng: random.Random) -> bytes:
    """Something follows: noise, zeros or the file itself."""
    return raw + rng.choice((rng.randbytes(rng.randrange(1, 300)), bytes(2**21), raw, b"\x1f"))


def without(raw: bytes, rng: random.Random) -> bytes:
    """Some bytes are missing, so that all that follow lie elsewhere."""
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + raw[at + rng.randint(1, 8) :]


def noise(raw: bytes, rng: random.Random) -> bytes:
    """Nothing but noise, text or zeros."""
    return rng.choice((rng.randbytes(len(raw)), bytes(len(raw)), b"patient_id,flair\n" * 40, b""))


def repacked(raw: bytes, rng: random.Random) -> bytes:
    """Compressed once more, as several members or with zeros between them."""
    half = len(raw) // 2
    return rng.choice(
        (
            gzip.compress(raw, mtime=0),
            gzip.compress(raw[:half], mtime=0) + gzip.compress(raw[half:], mtime=0),
            raw + gzip.compress(b"", mtime=0) * 50,
            raw + bytes(64) + raw,
        )
    )


def bomb(raw: bytes, rng: random.Random) -> bytes:
    """Followed, within the gzip, by far more than the header says."""
    return raw + gzip.compress(bytes(rng.choice((2**21, 2**25))), 1, mtime=0)


PLAIN: tuple[Mutator, ...] = (field, field, field, sides, header_bytes, bit, cut, longer, noise)
PACKED: tuple[Mutator, ...] = (bit, bit, cut, longer, without, repacked, bomb)


def damaged(number: int) -> File:
    """The file of that number; the same one always."""
    rng = random.Random(number)  # noqa: S311 - not for secrets
    raw = seed_bytes(rng.choice(SEEDS))
    for mutate in rng.choices(PLAIN, k=rng.choice((0, 1, 1, 2, 3))):
        raw = mutate(raw, rng)
    name = rng.choice(NAMES) if rng.random() < 0.2 else rng.choice(NAMES[:2])
    if name.lower().endswith("gz") != (rng.random() < 0.05):
        raw = gzip.compress(raw, 1, mtime=0)
        for mutate in rng.choices(PACKED, k=rng.choice((0, 0, 1, 2))):
            raw = mutate(raw, rng)
    return File(name, raw)


def attempt(file: File, folder: Path) -> Scan | None:
    """Read a file from a folder, where nothing else is written.

    Returns:
        The scan, or None where it was refused in one line.

    Raises:
        Exception: Whatever is neither.
    """
    path = folder / file.name
    path.write_bytes(file.content)
    scan, refused = _opened(path)
    if scan is None:
        assert refused is not None
        assert "\n" not in str(refused), refused
        assert refused.remedy, refused
        assert str(refused).startswith(str(path)), refused
        return None
    assert scan.volume.data.dtype == np.float32
    assert scan.volume.data.nbytes <= LIMIT_BYTES
    assert np.isfinite(scan.volume.affine).all()
    assert scan.sha256 == scan_sha256(path)
    return scan


def _opened(path: Path) -> tuple[Scan | None, InputError | None]:
    try:
        with scan_limit(LIMIT_BYTES / 2**30):
            return open_scan(path), None
    except InputError as error:
        return None, error


def _put(raw: bytes, at: int, new: bytes) -> bytes:
    return raw[:at] + new + raw[at + len(new) :]
