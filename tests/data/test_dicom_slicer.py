"""3D Slicer shows the segment where the series is: its own reader of DICOM, and dcmqi's of SEG."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dicom_seg import GRIDS, blob, dcmqi_program, gap_mm, points, scan
from dicom_series import write_series
from plgg.core.volume import Volume
from plgg.data.dicom.read import read_dicom
from study_objects import slicer_python, study

SIDE = Path(__file__).parent / "slicer_dicom_side.py"
# Slicer keeps positions in single precision.
TOLERANCE_MM = 0.01


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What Slicer says of every grid, and the study that it was shown."""
    python, program = slicer_python(), dcmqi_program()
    if program is None:
        pytest.skip("dcmqi is not installed, or does not run here")
    folder, studies = tmp_path_factory.mktemp("slicer"), {}
    for name in GRIDS:
        image = scan(GRIDS[name])
        image.data[11, 2, 5] = 5000
        case = folder / "given" / name
        case.mkdir(parents=True)
        write_series(case / "made", image, shuffled=False)
        studies[name] = study(case, series=case / "made", draw=blob)
        command = [program, "--inputDICOM", studies[name].folder / "segmentation.dcm"]
        command += ["--outputDirectory", case, "-t", "nrrd"]
        subprocess.run(command, check=True, capture_output=True)
        next(case.glob("*.nrrd")).rename(case / "segments.nrrd")
    paths = [str(SIDE.parent), str(SIDE.parents[1] / "serve")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [python, str(SIDE), str(folder / "given")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = {
        name: json.loads((folder / "given" / name / "told.json").read_text()) for name in studies
    }
    return told, studies


@pytest.mark.parametrize("name", GRIDS)
def test_slicer_has_series_and_segment_in_place(seen, name):
    told, found = seen[0][name], seen[1][name]
    image: Volume = read_dicom(found.series).volume
    brightest = points(image.data == image.data.max(), image.affine)
    assert gap_mm(np.array(told["brightest"]), brightest) < TOLERANCE_MM
    wanted = points(found.mask.data, found.mask.affine)
    assert gap_mm(np.array(told["segment"]), wanted) < TOLERANCE_MM
