"""Studies with a result, and all DICOM objects that plgg gives back to them."""

import functools
import json
import os
import re
import shutil
import subprocess
import zlib
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_seg import GRIDS, blob, scan
from dicom_series import LEAKS, write_series
from plgg.config import InferenceConfig
from plgg.core.volume import Volume, apply_affine, inverse
from plgg.data.dicom.read import read_dicom
from plgg.data.quality import Quality, Verdict
from plgg.data.result import Input, Marker, Model, Result, Uncertainty, VolumeInterval
from plgg.measure.diameters import diameters
from plgg.predict.study import StudyObjects, write_study_objects

SECRETS = LEAKS | {
    "OtherPatientNames": "Leakother^Name",
    "IssuerOfPatientID": "LEAKISSUER",
    "EthnicGroup": "LEAKETHNIC",
    "Occupation": "Leakjob",
    "PatientTelephoneNumbers": "0777 7777",
    "AdditionalPatientHistory": "Leakhistory",
    "RequestingPhysician": "Leakasked^Doc",
    "NameOfPhysiciansReadingStudy": "Leakread^Doc",
    "PhysiciansOfRecord": "Leakrecord^Doc",
    "InstitutionalDepartmentName": "Leakward",
    "AdmissionID": "LEAKADMISSION",
    "MilitaryRank": "Leakrank",
}
"""More than twenty attributes that say who, where and by whom."""

MUST_CARRY = {
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "StudyID", "StudyDate",
    "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
}  # fmt: skip
"""What every object of a study repeats."""

GOOD = Verdict(
    gate="rotation", status="good", value=6.754, limits="30° or less", message="turned by 7°"
)
DOUBTFUL = Verdict(
    gate="brain-volume",
    status="doubtful",
    value=2381.7,
    limits="880 to 1890 mL",
    message="a brain of 2382 mL is implausible",
)
FAMILIAR = Verdict(
    gate="familiarity", status="good", value=0.8, limits="1.7 or less", message="like the others"
)
MODEL = Model(
    sha256="cd" * 32, calibration_sha256="ef" * 32, preset="paper", arm="multitask", epoch=3,
    split=0, seed=1,
)  # fmt: skip
CLASSES = ("BRAF_V600E", "BRAF_fusion", "other")


def marker_of(*, withheld=False, classes=CLASSES):
    shares = dict(zip(classes, (0.1234567, 0.7654321, 0.1111112), strict=True))
    reason = "Withheld: its confidence is 77%, and at least 85% are wanted."
    return Marker(
        classes=classes,
        probabilities=shares,
        predicted=classes[1],
        calibrated=True,
        withheld=withheld,
        statement=reason if withheld else f"{classes[1]}, with a probability of 77%.",
    )


def result_of(mask, source, **changes):
    """What a prediction of this mask might say; `changes` replace fields."""
    ml = round(float((mask.data > 0).sum() * mask.voxel_volume_ml), 4)
    within = VolumeInterval(low_ml=ml / 1.37, high_ml=ml * 1.37, level=0.9, n_patients=23)
    fields = {
        "case_id": "P01",
        "patient_id": None,
        "age_years": 8.0,
        "sex": "F",
        "input": Input(path=str(source), kind="dicom", sha256="ab" * 32),
        "volume_ml": ml,
        "volume_interval": within if ml else None,
        "components": (),
        "diameters": diameters(mask),
        "uncertainty": Uncertainty(expected_dice=0.87, n_views=1, agreement=None),
        "change": None,
        "marker": marker_of(),
        "familiarity": FAMILIAR,
        "quality": Quality(
            status="doubtful", verdicts=(DOUBTFUL, GOOD), attempts=(), stripping="none",
            atlas="built-in", seconds={},
        ),
        "threshold": 0.45,
        "smallest_ml": 0.0,
        "models": (MODEL,),
        "engine": "pytorch, cpu, fp32",
        "inference": InferenceConfig(),
        "versions": {"plgg": "0"},
        "seconds": {},
        "warnings": (DOUBTFUL.message, "its headers name a contrast agent"),
    }  # fmt: skip
    return Result(**(fields | changes))


@dataclass(frozen=True)
class Study:
    """A series, a mask on it, and the folder of the objects."""

    series: Path
    mask: Volume
    result: Result
    folder: Path
    objects: StudyObjects

    def read(self, name):
        return pydicom.dcmread(self.folder / name)

    @property
    def sources(self):
        found = [pydicom.dcmread(path) for path in self.series.iterdir()]
        return sorted(found, key=lambda one: one.get("InstanceNumber", 0))

    def again(self, folder, mask=None, **changes):
        """The same once more, into another folder."""
        folder.mkdir()
        mask = mask or self.mask
        result = self.result.model_copy(update=changes)
        objects = write_study_objects(folder, mask, self.series, result, structures=True)
        return replace(self, mask=mask, result=result, folder=folder, objects=objects)


def study(folder, grid="oblique", *, draw=blob, series=None, result=None, numbers=None, **options):
    """Write a series of a grid, draw on it, and write the objects beside it.

    `numbers` makes of the mask a map of its labels' numbers.
    """
    place = folder / "series"
    if series is None:
        write_series(place, scan(GRIDS[grid]), **options)
    else:
        shutil.copytree(series, place)
    mask = draw(read_dicom(place).volume)
    found = result_of(mask, place, **(result or {}))
    out = folder / "objects"
    out.mkdir()
    regions = numbers(mask) if numbers else None
    objects = write_study_objects(out, mask, place, found, structures=True, numbers=regions)
    assert objects.lost == ()
    return Study(place, mask, found, out, objects)


def nothing(like):
    return like.with_data(np.zeros(like.shape, dtype=np.bool_))


def dsrdump(path):
    """What dcmtk makes of an SR; it refuses what breaks the rules of content items."""
    return dcmtk("dsrdump", "+Pl", "+U8", path)


def drtdump(path):
    """What dcmtk makes of an RTSTRUCT."""
    return dcmtk("drtdump", path)


def dcmtk(name, *arguments):
    """What a program of dcmtk prints; it must have nothing to complain of."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name}: dcmtk is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, check=False)
    said = done.stderr.decode()
    assert done.returncode == 0, said
    complaints = [line for line in said.splitlines() if "Specific Character Set" not in line]
    assert complaints == []
    return done.stdout.decode()


def filled(points, shape):
    """Which centres of voxels lie within a contour, by the parity of crossings."""
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 2)
    inside = np.zeros(len(places), dtype=bool)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        # Each edge upwards, so that a bridge there and back is crossed at one place.
        (low_x, low_y), (high_x, high_y) = ((x1, y1), (x2, y2)) if y1 < y2 else ((x2, y2), (x1, y1))
        between = (places[:, 1] >= low_y) & (places[:, 1] < high_y)
        crossing = low_x + (places[:, 1] - low_y) / (high_y - low_y) * (high_x - low_x)
        inside ^= between & (places[:, 0] < crossing)
    return inside.reshape(shape)


def rasterised_region(found, region):
    """The mask that the contours of one region of interest stand for, on the grid of its study."""
    affine = found.mask.affine
    mask = np.zeros(found.mask.shape, dtype=bool)
    for contour in region.get("ContourSequence", []):
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        points = np.reshape(np.array(contour.ContourData, dtype=float), (-1, 3))
        assert len(points) == contour.NumberOfContourPoints
        voxels = apply_affine(inverse(affine), points * (-1, -1, 1))
        index = round(float(voxels[:, 2].mean()))
        # All of it lies in the plane of one slice.
        np.testing.assert_allclose(voxels[:, 2], index, atol=1e-3)
        mask[:, :, index] |= filled(np.round(voxels[:, :2], 3), mask.shape[:2])
    return mask


def texts(item):
    """Every text, name, date and code meaning of the content below an item."""
    for child in item.get("ContentSequence", []):
        for keyword in ("TextValue", "PersonName", "Date", "Time", "DateTime"):
            if keyword in child:
                yield str(child[keyword].value)
        for sequence in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            yield from (str(code.CodeMeaning) for code in child.get(sequence, []))
        yield from texts(child)


SECRET = re.compile(r"leak|given|1977|2020070|0777", re.IGNORECASE)


def secrets_in(text):
    """What identifies somebody in a text."""
    return SECRET.findall(text)


def words_of_pdf(raw):
    """All that a PDF of Matplotlib writes, without the gaps of kerning."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", raw, flags=re.DOTALL):
        try:
            text = zlib.decompress(stream).decode("latin-1")
        except zlib.error:
            continue
        for block in re.findall(r"\nBT\n(.*?)\nET\n", text, flags=re.DOTALL):
            parts = re.findall(r"\((.*?)(?<!\\)\)", block, flags=re.DOTALL)
            found.append("".join(parts))
    # Two bytes a letter.
    return "\n".join(found).replace("\0", "")


@functools.cache
def standard_tables():
    """Of DICOM: class to IOD, IOD to modules, module to attributes."""
    standard = files("highdicom") / "_standard"
    return tuple(
        json.loads((standard / f"{name}.json").read_text())
        for name in ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
    )


def lacking_modules(found):
    """Attributes of type 1 and 2 of the mandatory modules that a data set does not have."""
    classes, modules, attributes = standard_tables()
    lost = []
    for module in modules[classes[found.SOPClassUID]]:
        # dsrdump looks at the content of an SR: what it must hold depends on the kind of item.
        mandatory = module["usage"] == "M" and module["key"] != "sr-document-content"
        wanted = attributes[module["key"]] if mandatory else ()
        for attribute in wanted:
            keyword, kind = attribute["keyword"], attribute["type"]
            if attribute["path"] or kind not in ("1", "2"):
                continue
            if keyword not in found or (kind == "1" and not _holds(found, keyword)):
                lost.append((module["key"], keyword))
    return lost


def _holds(found, keyword):
    value = found[keyword].value
    return value is not None and value != "" and (not hasattr(value, "__len__") or len(value))


def slicer_python():
    python = os.environ.get("PLGG_SLICER_PYTHON")
    if not python:
        pytest.skip("no 3D Slicer: PLGG_SLICER_PYTHON names no Python with slicer-core in it")
    return python
