"""Synthetic DICOM series from a `Volume`, classic or enhanced, plain or compressed.

Everything that identifies a patient can be filled with recognisable strings (`LEAKS`).
"""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

CLASSIC, ENHANCED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
SYNTAXES = {
    "plain": ExplicitVRLittleEndian,
    "implicit": UID("1.2.840.10008.1.2"),
    "big-endian": UID("1.2.840.10008.1.2.2"),
    "deflated": UID("1.2.840.10008.1.2.1.99"),
    "rle": UID("1.2.840.10008.1.2.5"),
    "jpeg-ls": UID("1.2.840.10008.1.2.4.80"),
    "jpeg-2000": UID("1.2.840.10008.1.2.4.90"),
    "jpeg-lossless": UID("1.2.840.10008.1.2.4.57"),
    "jpeg-lossless-sv1": UID("1.2.840.10008.1.2.4.70"),
}
LEAKS = {
    "PatientName": "Leakname^Given",
    "PatientID": "LEAKID77",
    "PatientBirthDate": "19770707",
    "PatientAddress": "Leakstreet 7",
    "OtherPatientIDs": "LEAKOTHER",
    "AccessionNumber": "LEAKACC77",
    "InstitutionName": "Leak Hospital",
    "InstitutionAddress": "Leakroad 77",
    "StationName": "LEAKSTATION",
    "ReferringPhysicianName": "Leakref^Doc",
    "PerformingPhysicianName": "Leakperf^Doc",
    "OperatorsName": "Leakop^Tech",
    "StudyDescription": "Leakstudy",
    "StudyID": "LEAKSTUDYID",
    "StudyDate": "20200707",
    "SeriesDate": "20200707",
    "AcquisitionDate": "20200707",
    "ImageComments": "Leakcomment",
    "PatientComments": "Leakpatient",
    "DeviceSerialNumber": "LEAKSERIAL",
    "SeriesDescription": "Leakname T2 FLAIR ax Given",
    "ProtocolName": "Leakprotocol",
}
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_series(
    folder,
    volume,
    *,
    description="T2 FLAIR ax",
    number=5,
    echo_ms=120.0,
    inversion_ms=2500.0,
    enhanced=False,
    syntax="plain",
    image_type=("ORIGINAL", "PRIMARY", "M", "ND"),
    age="008Y",
    sex="F",
    uids=None,
    prefix="IM",
    suffix=".dcm",
    shuffled=True,
    tags=None,
    change=None,
):
    """Write `volume` (RAS+) so that `read_dicom(folder)` gives it back; returns the files.

    Args:
        folder: Made if it is not there.
        volume: Integers are stored as they are; other numbers as 16-bit codes with a slope.
        tags: Attributes by keyword, set in every file last; None takes one away.
        change: Called with (data set, slice index) before a classic file is saved; what it returns
            is ignored unless it is False: then the file is left out.
        uids: Study, series and frame of reference; new ones if None.
        syntax: A name of `SYNTAXES`.
        shuffled: Name the files in an order that is not that of the slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored, slope, intercept = _coded(np.asarray(volume.data))
    affine = _RAS_TO_LPS @ volume.affine
    uids = uids or [generate_uid() for _ in range(3)]
    common = {
        "Modality": "MR", "SeriesDescription": description, "SeriesNumber": number,
        "EchoTime": echo_ms, "InversionTime": inversion_ms, "RepetitionTime": 9000.0,
        "ImageType": list(image_type), "PatientAge": age, "PatientSex": sex,
        "PatientID": "anonymous", "PatientName": "anonymous", "MagneticFieldStrength": 3.0,
        "StudyInstanceUID": uids[0], "SeriesInstanceUID": uids[1], "FrameOfReferenceUID": uids[2],
        "StudyDate": "20200101", "AcquisitionTime": "120000", "SliceThickness": 99.0,
        "Manufacturer": "plgg tests",
    }  # fmt: skip
    scaling = (slope, intercept)
    if enhanced:
        dataset = _enhanced(stored, affine, scaling, common)
        path = folder / f"{prefix}-multi{suffix}"
        _change(dataset, tags)
        _save(dataset, path, syntax)
        return [path]
    names = np.random.default_rng(1).permutation(stored.shape[2])
    paths = []
    for k in range(stored.shape[2]):
        dataset = _classic(stored[:, :, k], affine @ [0, 0, k, 1], affine, scaling, common)
        dataset.InstanceNumber = k + 1
        _change(dataset, tags)
        if change is not None and change(dataset, k) is False:
            continue
        index = names[k] if shuffled else k
        paths.append(folder / f"{prefix}-{index:04d}{suffix}")
        _save(dataset, paths[-1], syntax)
    return paths


def _coded(data):
    if data.dtype == np.bool_:
        data = data.astype(np.uint8)
    if np.issubdtype(data.dtype, np.integer):
        kind = np.int16 if data.min() < 0 else np.uint16
        assert np.array_equal(data.astype(kind), data)
        return data.astype(kind), 1.0, 0.0
    low, high = float(data.min()), float(data.max())
    slope = float(f"{max((high - low) / 65535, 1e-9):.8e}")
    low = float(f"{low:.8e}")
    return np.clip(np.rint((data - low) / slope), 0, 65535).astype(np.uint16), slope, low


def _base(sop_class, common, stored):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    for keyword, value in common.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Columns, dataset.Rows = stored.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(stored.dtype == np.int16)
    return dataset


def _text(numbers):
    return [f"{number:.12g}"[:16] for number in numbers]


def _directions(affine):
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    turned = affine[:3, :3] / spacing
    return _text(np.concatenate([turned[:, 0], turned[:, 1]])), _text(spacing[[1, 0]])


def _classic(stored, position, affine, scaling, common):
    dataset = _base(CLASSIC, common, stored)
    dataset.ImageOrientationPatient, dataset.PixelSpacing = _directions(affine)
    dataset.ImagePositionPatient = _text(position[:3])
    dataset.RescaleSlope, dataset.RescaleIntercept = scaling
    dataset.PixelData = np.ascontiguousarray(stored.T).tobytes()
    return dataset


def _group(item, sequence, **values):
    inner = Dataset()
    for keyword, value in values.items():
        setattr(inner, keyword, value)
    setattr(item, sequence, [inner])


def _enhanced(stored, affine, scaling, common):
    """Frames in reverse, so that their order is not that of the slices."""
    common = dict(common)
    echo, inversion = common.pop("EchoTime"), common.pop("InversionTime")
    dataset = _base(ENHANCED, common, stored)
    directions, spacing = _directions(affine)
    shared = Dataset()
    _group(shared, "PlaneOrientationSequence", ImageOrientationPatient=directions)
    _group(shared, "PixelMeasuresSequence", PixelSpacing=spacing, SliceThickness=99.0)
    if echo is not None:
        _group(shared, "MREchoSequence", EffectiveEchoTime=float(echo))
    if inversion is not None:
        _group(shared, "MRModifierSequence", InversionTimes=[float(inversion)])
    dataset.SharedFunctionalGroupsSequence = [shared]
    order = range(stored.shape[2])[::-1]
    dataset.NumberOfFrames = stored.shape[2]
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame(affine @ [0, 0, k, 1], scaling) for k in order
    ]
    dataset.PixelData = b"".join(np.ascontiguousarray(stored[:, :, k].T).tobytes() for k in order)
    return dataset


def _frame(position, scaling):
    frame = Dataset()
    _group(frame, "PlanePositionSequence", ImagePositionPatient=_text(position[:3]))
    _group(
        frame,
        "PixelValueTransformationSequence",
        RescaleSlope=scaling[0],
        RescaleIntercept=scaling[1],
        RescaleType="US",
    )
    return frame


def _change(dataset, tags):
    for keyword, value in (tags or {}).items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)


def _save(dataset, path, syntax):
    uid = SYNTAXES[syntax]
    if syntax in ("rle", "jpeg-ls"):
        dataset.compress(uid, generate_instance_uid=False)
    elif uid.is_compressed and syntax != "deflated":
        dataset.save_as(path, enforce_file_format=True)
        _transcode(path, uid)
        return
    elif syntax == "big-endian":
        kind = np.int16 if dataset.PixelRepresentation else np.uint16
        dataset.PixelData = np.frombuffer(dataset.PixelData, kind).byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = uid
    little = syntax != "big-endian"
    if syntax in ("implicit", "big-endian"):
        dataset = _reencoded(dataset)
        dataset.save_as(
            path, implicit_vr=syntax == "implicit", little_endian=little, enforce_file_format=True
        )
    else:
        dataset.save_as(path, enforce_file_format=True)


def _reencoded(dataset):
    plain = Dataset()
    plain.update({element.tag: element for element in dataset})
    plain.file_meta, plain.preamble = dataset.file_meta, b"\0" * 128
    return plain


def _transcode(path, uid):
    """GDCM writes what pydicom cannot encode."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(uid))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


def truncate(path, keep):
    """Cut a file short; `keep` is a share of its length."""
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep)])


def read_header(path):
    """The whole data set, for tests."""
    return pydicom.dcmread(path)
