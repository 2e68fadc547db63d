"""3D Slicer itself (`slicer-core`, headless): every voxel where it is in the world, both ways.

`PLGG_SLICER_PYTHON` names the Python of an environment of its own with `slicer-core` in it, 0.8 GB
with VTK; .ci/run makes one where it can be had.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from served import served

from helper import make_affine, write_nifti
from plgg.core.volume import apply_affine
from plgg.data.nifti.image import read_volume
from plgg.serve.mask_formats import is_sheared
from plgg.serve.work import WorkFolder

SHEAR = np.array([[1, 0.1, 0, 0], [0, 1, 0.05, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
AFFINES = {
    "axial": make_affine((4.5, 4.5, 8.0), axes="LPS"),
    "sagittal": make_affine((4.8, 4.2, 4.9), axes="PSR"),
    "sagittal-left": make_affine((4.8, 4.2, 4.9), axes="ASR"),
    "coronal": make_affine((4.6, 4.1, 5.9), axes="LSP"),
    "oblique": make_affine((4.8, 5.0, 5.2), turn_degrees=(12.0, -7.0, 20.0)),
    "left-handed": make_affine((4.5, 4.5, 4.5), axes="LAS"),
    "left-handed-oblique": make_affine((5, 5, 5.5), axes="RPS", turn_degrees=(-18.0, 9.0, 25.0)),
    "sheared": make_affine((4.8, 5.0, 5.2), turn_degrees=(12.0, -7.0, 20.0)) @ SHEAR,
}
SAVED = ("saved.nrrd", "saved.seg.nrrd", "saved.nii.gz")
TOLERANCE_MM = 1e-3
SIDE = Path(__file__).parent / "slicer_side.py"


def placed(template, folder):
    """The case P02 of the reading room, placed at all these affines."""
    shutil.copytree(template.root, folder / "work")
    work = WorkFolder(folder / "work", template.models)
    for name, affine in AFFINES.items():
        for part in ("cases", "views"):
            (work.root / part / name).mkdir()
            for path in (template.root / part / "P02").glob("*.*"):
                copy = work.root / part / name / path.name
                copy.write_bytes(path.read_bytes())
                if path.name.endswith(".nii.gz"):
                    volume = read_volume(path)
                    data = volume.data
                    if path.name == "mask.nii.gz":
                        data = (np.random.default_rng(0).random(data.shape) < 0.01).astype(np.uint8)
                    write_nifti(copy, data, affine)
        view = work.view_folder(name) / "view.json"
        record = json.loads(view.read_text()) | {"affine": affine.tolist()}
        view.write_text(json.dumps(record))
    return work


@pytest.fixture(scope="module")
def seen(template, tmp_path_factory):
    """What Slicer says of all that is served, and what it saved, by the name of the affine."""
    python = os.environ.get("PLGG_SLICER_PYTHON")
    if not python:
        pytest.skip("no 3D Slicer: PLGG_SLICER_PYTHON names no Python with slicer-core in it")
    folder = tmp_path_factory.mktemp("slicer")
    work = placed(template, folder)
    with served(work.root, *work.models) as room:
        for name in AFFINES:
            given = folder / "given" / name
            given.mkdir(parents=True)
            answer = room.get(f"/datastore/image?image={name}")
            ending = answer.headers["content-disposition"].partition(f"{name}.")[2].strip('"')
            (given / f"volume.{ending}").write_bytes(answer.content)
            for wanted in (".nii.gz", ".nrrd", ".seg.nrrd"):
                sent = {"params": (None, json.dumps({"result_extension": wanted}))}
                path = f"/infer/plgg?image={name}&output=image"
                answer = room.ask("POST", path, files=sent)
                ending = answer.headers["content-disposition"].partition(f"{name}.")[2].strip('"')
                (given / f"mask.{ending}").write_bytes(answer.content)
        done = subprocess.run(
            [python, str(SIDE), str(folder / "given")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        yield room, work, folder / "given"


def expected(work, name):
    mask = read_volume(work.case_folder(name) / "mask.nii.gz")
    return apply_affine(AFFINES[name], np.argwhere(mask.data))


def gap_mm(found, wanted):
    """The largest distance between two sets of points, whatever their order."""
    assert np.shape(found) == np.shape(wanted)
    near = np.linalg.norm(np.array(found)[:, None] - np.array(wanted)[None], axis=-1)
    return max(near.min(axis=0).max(), near.min(axis=1).max())


@pytest.mark.parametrize("name", AFFINES)
def test_slicer_sees_every_voxel_of_the_mask_where_it_was_served(seen, name):
    _, work, given = seen
    told = json.loads((given / name / "told.json").read_text())
    wanted = expected(work, name)
    assert set(told["segments"]) == {"tumour"}
    assert gap_mm(told["segments"]["tumour"], wanted) < TOLERANCE_MM
    for ending, label in told["labels"].items():
        assert gap_mm(label["points"], wanted) < TOLERANCE_MM, ending
    # A sheared mask is never NIfTI: ITK would leave out the shear.
    assert ("nii.gz" in told["labels"]) == (not is_sheared(AFFINES[name]))


@pytest.mark.parametrize("name", AFFINES)
def test_slicer_sees_the_scan_where_it_was_served(seen, name):
    _, work, given = seen
    told = json.loads((given / name / "told.json").read_text())["volume"]
    data = read_volume(work.view_folder(name) / "volume.nii.gz").data
    brightest = apply_affine(AFFINES[name], np.argwhere(data == data.max()))
    assert tuple(told["shape"]) == data.shape
    assert gap_mm(told["brightest"], brightest) < TOLERANCE_MM


@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("name", AFFINES)
def test_what_slicer_saves_comes_back_voxel_for_voxel(seen, name, saved):
    room, work, given = seen
    raw = (given / name / saved).read_bytes()
    sheared = is_sheared(AFFINES[name]) and saved.endswith(".nii.gz")
    status = 422 if sheared else 200
    answer = room.ask(
        "PUT", f"/datastore/label?image={name}", status, files={"label": (saved, raw)}
    )
    if sheared:
        assert ".nrrd" in answer.json()["error"]["remedy"]
        return
    mask = read_volume(work.case_folder(name) / "mask.nii.gz")
    assert np.array_equal(read_volume(work.mask(name)).data, mask.data)
