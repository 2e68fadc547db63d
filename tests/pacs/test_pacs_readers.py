"""What comes back from a PACS, read by programs that are not ours: in place, and the same numbers.

Studies of three orientations are predicted, sent to a real Orthanc and fetched back, by DICOMweb
and by C-STORE and C-GET. The mask is read by highdicom, by dcmqi and by 3D Slicer (where
`PLGG_SLICER_PYTHON` names its Python), the measurements by dcmtk and by pydicom.
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from orthanc_server import PASSWORD, USER
from studies import uid_of

from dicom_seg import by_dcmqi, by_highdicom, by_pydicom, dcmqi_program, points
from plgg.core.volume import Volume, apply_affine, inverse
from plgg.data.dicom.objects import own_objects
from plgg.data.dicom.read import read_dicom
from plgg.data.nifti.image import read_volume
from plgg.data.result import Result, read_result
from plgg.pacs.archive import PacsLink
from plgg.pacs.pull import pull
from plgg.pacs.push import push
from study_objects import dcmtk, dsrdump, slicer_python

LANGUAGES = ("web", "dimse")
GEOMETRIES = ("lps", "sagittal", "oblique-lps")
SIDE = Path(__file__).parents[1] / "data" / "slicer_dicom_side.py"
# Slicer keeps positions in single precision.
TOLERANCE_MM = 0.01


@dataclass(frozen=True)
class Fetched:
    """A study as it came back.

    Attributes:
        series: Folder of its images.
        segmentation: File of the SEG.
        measurements: File of the SR.
        mask: What was predicted, as NIfTI has it.
        result: What was measured of it.
    """

    series: Path
    segmentation: Path
    measurements: Path
    mask: Volume
    result: Result


@pytest.fixture(scope="module")
def fetched(orthanc, predicted, tmp_path_factory):
    """Every study, by the language that took it there and back, and by its geometry."""
    root, found = tmp_path_factory.mktemp("fetched"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLGG_PACS_USER", USER)
        patch.setenv("PLGG_PACS_PASSWORD", PASSWORD)
        for language in LANGUAGES:
            link = PacsLink(orthanc.url if language == "web" else orthanc.dimse)
            orthanc.clear()
            for geometry in GEOMETRIES:
                study = predicted[geometry]
                orthanc.send(*study.files)
                n_own = len(own_objects(study.case))
                assert [one.state for one in push(link, [study.case])] == ["sent"] * n_own
                back = root / language / geometry
                assert pull(link, study.uid, back).n_new == len(study.files) + n_own
                found[language, geometry] = _found(back, study)
    return found


def _found(back, study):
    objects = {path.stem: path for path in back.rglob("*.dcm")}
    segmentation, measurements = (
        objects[uid_of(study.case / name)] for name in ("segmentation.dcm", "measurements.dcm")
    )
    mask = read_volume(study.case / "mask.nii.gz")
    result = read_result(study.case / "result.json")
    return Fetched(back / study.series, segmentation, measurements, mask, result)


@pytest.fixture(params=[(one, other) for one in LANGUAGES for other in GEOMETRIES], ids="-".join)
def study(request, fetched):
    return fetched[request.param]


def assert_in_place(found, mask):
    """Points in mm are the voxels of a mask: each of them, and no other."""
    found = np.asarray(found, dtype=float)
    voxels = np.rint(apply_affine(inverse(mask.affine), found)).astype(int)
    away = np.linalg.norm(apply_affine(mask.affine, voxels) - found, axis=1)
    assert away.max() < TOLERANCE_MM
    wanted = np.argwhere(mask.data)
    assert len(found) == len(wanted) > 0
    assert set(map(tuple, voxels.tolist())) == set(map(tuple, wanted.tolist()))


def test_highdicom_has_the_mask_in_place(study):
    assert_in_place(by_highdicom(study.segmentation), study.mask)
    assert_in_place(by_pydicom(study.segmentation), study.mask)


def test_dcmqi_has_the_mask_in_place(study, tmp_path):
    assert_in_place(by_dcmqi(study.segmentation, tmp_path / "out"), study.mask)


def link_in_order(series, folder):
    """Slicer's reader takes slices by their names; its DICOM module sorts them first."""
    folder.mkdir()
    headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in series.iterdir()}
    for number, path in enumerate(sorted(headers, key=lambda one: along_normal(headers[one]))):
        (folder / f"{number:04}.dcm").symlink_to(path)


def along_normal(header):
    across, down = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
    return float(np.cross(across, down) @ np.array(header.ImagePositionPatient, dtype=float))


@pytest.fixture(scope="module")
def slicer(fetched, tmp_path_factory):
    """Where 3D Slicer puts the series and the segment of every study."""
    python, program = slicer_python(), dcmqi_program()
    if program is None:
        pytest.skip("dcmqi, which reads SEG for Slicer, is not installed, or does not run here")
    folder = tmp_path_factory.mktemp("slicer")
    cases = {key: folder / "-".join(key) for key in fetched}
    for key, case in cases.items():
        case.mkdir()
        link_in_order(fetched[key].series, case / "series")
        command = [program, "--inputDICOM", fetched[key].segmentation]
        command += ["--outputDirectory", case, "-t", "nrrd"]
        subprocess.run(command, check=True, capture_output=True)
        next(case.glob("*.nrrd")).rename(case / "segments.nrrd")
    paths = os.pathsep.join([str(SIDE.parent), str(SIDE.parents[1] / "serve")])
    done = subprocess.run(
        [python, str(SIDE), str(folder)],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return {key: json.loads((case / "told.json").read_text()) for key, case in cases.items()}


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_slicer_has_series_and_mask_in_place(fetched, slicer, language, geometry):
    study, told = fetched[language, geometry], slicer[language, geometry]
    assert_in_place(told["segment"], study.mask)
    image = read_dicom(study.series).volume
    brightest = points(image.data == image.data.max(), image.affine)
    np.testing.assert_allclose(told["brightest"], brightest, atol=TOLERANCE_MM)


def measured(result):
    """The numbers of a result by the names that they have in the SR."""
    found = {"Volume": result.volume_ml}
    if result.volume_interval is not None:
        found["Lower end of the conformal interval of the volume"] = result.volume_interval.low_ml
        found["Upper end of the conformal interval of the volume"] = result.volume_interval.high_ml
    lines = result.diameters
    found |= {
        "Long axis": lines.largest_mm,
        "Short axis": lines.perpendicular_mm,
        "Depth": lines.depth_mm,
    }
    return found


def test_dcmtk_reads_the_measurements(study):
    said = dsrdump(study.measurements)
    shown = dict(re.findall(r'NUM:\(,,"([^"]+)"\)="([^"]+)"', said))
    for name, value in measured(study.result).items():
        assert float(shown[name]) == pytest.approx(value, abs=5e-5), name
    assert "For research use only" in dcmtk("dsrdump", "+U8", "+Pl", study.measurements)


def doubles(item):
    """Every number of an SR in full, and its unit, by what it is called."""
    for child in item.get("ContentSequence", []):
        if child.ValueType == "NUM":
            (value,) = child.MeasuredValueSequence
            (unit,) = value.MeasurementUnitsCodeSequence
            number = float(value.get("FloatingPointValue", value.NumericValue))
            yield str(child.ConceptNameCodeSequence[0].CodeMeaning), (number, str(unit.CodeValue))
        yield from doubles(child)


def test_the_measurements_are_the_same_numbers(study):
    report = pydicom.dcmread(study.measurements)
    read = dict(doubles(report))
    for name, value in measured(study.result).items():
        number, unit = read[name]
        assert number == value, name
        assert unit == ("mL" if "olume" in name else "mm")
    marker = study.result.marker
    chances = [number for name, (number, _) in doubles(report) if name == "Probability"]
    withheld = marker is None or marker.withheld
    assert sorted(chances) == ([] if withheld else sorted(marker.probabilities.values()))


def test_the_measurements_refer_to_what_came_back(study):
    """Segment and images that the SR names are those that the PACS gave with it."""
    report, segmentation = map(pydicom.dcmread, (study.measurements, study.segmentation))
    images = {uid_of(path) for path in study.series.iterdir()}
    named = {
        str(one.ReferencedSOPInstanceUID)
        for study_ in report.CurrentRequestedProcedureEvidenceSequence
        for series in study_.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert named == images | {str(segmentation.SOPInstanceUID)}
    assert report.StudyInstanceUID == segmentation.StudyInstanceUID
