"""Damage for DICOM series: headers altered, bytes changed, files dropped, doubled, cut and zipped.

    @given(damage=damages())
    def test(damage):
        with tempfile.TemporaryDirectory() as folder:
            attempt(damage.apply(), Path(folder))  # raises for all but a clear answer

A series is a dict of bytes by file name. Each of `mutations()` takes one and gives another.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from hypothesis import strategies as st
from pydicom import config
from pydicom.datadict import tag_for_keyword

from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.dicom.segmentation import write_segmentation
from plgg.data.scan import Scan, open_scan

Series = dict[str, bytes]
Mutation = Callable[[Series], Series]

SEEDS = (
    "plain", "implicit", "big-endian", "deflated", "rle", "jpeg-ls", "jpeg-2000",
    "jpeg-lossless", "jpeg-lossless-sv1", "enhanced",
)  # fmt: skip
KEYWORDS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "SOPInstanceUID", "SOPClassUID",
    "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "SeriesNumber", "Modality",
    "ImageType", "EchoTime", "InversionTime", "SeriesDescription", "PatientID", "PatientAge",
    "PatientSex", "PatientName", "StudyDate", "StudyTime", "AcquisitionTime", "SliceThickness",
    "SpecificCharacterSet", "ContrastBolusAgent", "PixelData", "InstanceNumber",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
VALUES = (
    b"", b"0", b"1", b"-1", b"NaN", b"inf", b"1e300", b"1e-300", b"65535", b"2000000000",
    b"RGB", b"\\", b"\\\\\\", b"0\\0\\0", b"NaN\\0\\0", b"1\\0\\0\\1\\0\\0", b"-1\\-1", b"0\\0",
    b"\xff\xff", b"\x00\x00", b"\x01\x00", b"\x00\x80", b"\xff\xff\xff\xff", b"\xe4\xf6\xfc",
    b"a" * 300,
    b"MONOCHROME1", b"LOCALIZER\\MOSAIC", b"ISO 2022 IR 87", b"\x1b$B", b"../..", b"1.2.3",
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\x00\x00\x00\x00",
)  # fmt: skip
VRS = ("UN", "OB", "US", "SS", "UL", "DS", "IS", "CS", "LO", "UI", "SQ", "FD", "AT", "PN", "OW")
_LONG = ("UN", "OB", "OW", "SQ")


@dataclass(frozen=True)
class Damage:
    """A seed and what is done to it."""

    seed: str
    mutations: tuple[Mutation, ...]

    def apply(self) -> Series:
        """The damaged series."""
        found = dict(series(self.seed))
        for mutation in self.mutations:
            found = mutation(found)
        return found


@cache
def series(seed: str) -> Series:
    """A sound series of 4 slices, of one of `SEEDS`."""
    tests = str(Path(__file__).parents[2] / "tests")
    sys.path.append(tests)
    try:
        from dicom_series import write_series
    finally:
        sys.path.remove(tests)
    data = np.arange(10 * 8 * 4, dtype=np.uint16).reshape(10, 8, 4)
    affine = np.array([[-0.9, 0, 0, 40], [0, -0.9, 0, 30], [0, 0, 5, -20], [0, 0, 0, 1.0]])
    enhanced = seed == "enhanced"
    with tempfile.TemporaryDirectory() as folder:
        files = write_series(
            Path(folder),
            Volume(data, affine),
            enhanced=enhanced,
            syntax="plain" if enhanced else seed,
            uids=["1.2.3.1", "1.2.3.2", "1.2.3.3"],
        )
        return {file.name: file.read_bytes() for file in files}


def attempt(files: Series, folder: Path) -> Scan | None:
    """Read a series from a folder, and write a segmentation onto it where it can be read.

    Returns:
        The scan, or None where it was refused in one line; a segmentation may be refused, too.

    Raises:
        Exception: Whatever is neither.
    """
    study = folder / "study"
    study.mkdir()
    for name, content in files.items():
        (study / name).write_bytes(content)
    (only,) = files if len(files) == 1 and next(iter(files)).endswith(".zip") else (".",)
    refused: InputError | None = None
    scan: Scan | None = None
    try:
        scan = open_scan(study / only)
        assert isinstance(scan.volume, Volume)
        assert scan.volume.data.dtype == np.float32
        mask = scan.volume.with_data(scan.volume.data > np.median(scan.volume.data))
        write_segmentation(folder / "out" / "segmentation.dcm", mask, study / only)
    except InputError as error:
        refused = error
    assert refused is None or ("\n" not in str(refused) and refused.remedy), refused
    return scan


def damages(most: int = 4) -> st.SearchStrategy[Damage]:
    """A seed with one to `most` mutations."""
    many = st.lists(mutations(), min_size=1, max_size=most).map(tuple)
    return st.builds(Damage, st.sampled_from(SEEDS), many)


def mutations() -> st.SearchStrategy[Mutation]:
    """One way to damage a series."""
    which = st.integers(0, 7)
    place = st.floats(0, 1, exclude_max=True)
    return st.one_of(
        st.builds(altered, which | st.none(), st.sampled_from(KEYWORDS), _values(), _vrs()),
        st.builds(deleted, which | st.none(), st.sampled_from(KEYWORDS)),
        st.builds(flipped, which, place, st.integers(0, 7)),
        st.builds(overwritten, which, place, st.binary(min_size=1, max_size=12)),
        st.builds(cut, which, place),
        st.builds(dropped, which),
        st.builds(doubled, which),
        st.builds(joined, st.binary(max_size=200)),
        st.builds(
            zipped, st.lists(st.tuples(place, st.binary(min_size=1, max_size=4)), max_size=3)
        ),
    )


def _values() -> st.SearchStrategy[bytes]:
    return st.sampled_from(VALUES) | st.binary(max_size=16)


def _vrs() -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(VRS)


def altered(which: int | None, keyword: str, value: bytes, vr: str | None) -> Mutation:
    """An attribute of one file, or of all, set to these bytes, under its own or another VR."""

    def alter(header: pydicom.Dataset) -> None:
        tag = pydicom.tag.Tag(tag_for_keyword(keyword))
        kind = vr or pydicom.datadict.dictionary_VR(tag).split(" ")[0]
        padded = value + b"\0" * (len(value) % 2)
        if kind == "SQ":
            kind = "UN"
        header[tag] = pydicom.dataelem.RawDataElement(
            tag, kind, len(padded), padded, 0, header.is_implicit_VR, header.is_little_endian
        )

    return _in_headers(which, alter)


def deleted(which: int | None, keyword: str) -> Mutation:
    """An attribute of one file, or of all, taken away."""
    return _in_headers(which, lambda header: header.pop(keyword, None))


def _in_headers(which: int | None, change: Callable[[pydicom.Dataset], object]) -> Mutation:
    def mutate(files: Series) -> Series:
        names = list(files) if which is None else [_name(files, which)] if files else []
        return {
            name: _rewritten(content, change) if name in names else content
            for name, content in files.items()
        }

    return mutate


def _rewritten(content: bytes, change: Callable[[pydicom.Dataset], object]) -> bytes:
    """The file with another header; as it was where pydicom cannot read or write it."""
    packed, mode = BytesIO(), config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(BytesIO(content))
            change(header)
            header.save_as(packed)
    except Exception:  # noqa: BLE001 - earlier damage may be anything
        return content
    finally:
        config.settings.writing_validation_mode = mode
    return packed.getvalue()


def _name(files: Series, which: int) -> str:
    return sorted(files)[which % len(files)]


def _in_bytes(which: int, change: Callable[[bytearray], bytes | bytearray]) -> Mutation:
    def mutate(files: Series) -> Series:
        if not files:
            return files
        name = _name(files, which)
        return {**files, name: bytes(change(bytearray(files[name])))}

    return mutate


def flipped(which: int, place: float, bit: int) -> Mutation:
    """One bit the other way."""
    return overwritten(which, place, lambda old: bytes([old ^ (1 << bit)]))


def overwritten(which: int, place: float, new: bytes | Callable[[int], bytes]) -> Mutation:
    """Some bytes put over others."""

    def change(raw: bytearray) -> bytearray:
        if raw:
            at = int(place * len(raw))
            put = new(raw[at]) if callable(new) else new
            raw[at : at + len(put)] = put
        return raw

    return _in_bytes(which, change)


def cut(which: int, place: float) -> Mutation:
    """A file cut short."""
    return _in_bytes(which, lambda raw: raw[: int(place * len(raw))])


def dropped(which: int) -> Mutation:
    """A file less."""
    return lambda files: {name: files[name] for name in files if name != _name(files, which)}


def doubled(which: int) -> Mutation:
    """A file there twice."""
    return lambda files: {**files, f"copy-{which}": files[_name(files, which)]} if files else files


def joined(content: bytes) -> Mutation:
    """A file of something else beside them."""
    return lambda files: {**files, "JUNK": b"\0" * 128 + b"DICM" + content}


def zipped(damage: list[tuple[float, bytes]]) -> Mutation:
    """All in one zip, some bytes of which are others."""

    def mutate(files: Series) -> Series:
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        found = {"all.zip": packed.getvalue()}
        for place, new in damage:
            found = overwritten(0, place, new)(found)
        return found

    return mutate
