"""A reading room with three predicted cases, made once; each test works on a copy."""

import shutil

import pytest
from served import served

from helper import ODD_AFFINES, blob_brain, write_nifti
from plgg import api
from plgg.core.files import make_folder
from plgg.core.output import READING_ROOM, output_folder
from plgg.predict.options import PredictOptions
from plgg.serve.uploads import Patient, UploadedFile, save_upload
from plgg.serve.views import make_view
from plgg.serve.work import WorkFolder
from runs import calibrate, make_run

CASES = {"P01": "oblique-lps", "P02": "ras", "P03": "thick"}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Two small networks, untrained, whose mask holds some of the brain and not all."""
    made = [make_run(tmp_path_factory.mktemp("runs") / f"run-{seed}", seed=seed) for seed in (0, 1)]
    return tuple(calibrate(run, threshold=0.5) for run in made)


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    """Three scans, by the name of the case."""
    folder, found = tmp_path_factory.mktemp("scans"), {}
    for number, (name, grid) in enumerate(CASES.items()):
        scan, _ = blob_brain(affine=ODD_AFFINES[grid], seed=number)
        found[name] = write_nifti(folder / f"{name}.nii.gz", scan.data, scan.affine)
    return found


@pytest.fixture(scope="session")
def template(tmp_path_factory, models, scans):
    """The reading room as the jobs would have left it."""
    work = WorkFolder(tmp_path_factory.mktemp("room") / "work", models)
    with output_folder(make_folder(work.root), READING_ROOM):
        work.make()
        for name, path in scans.items():
            with path.open("rb") as file:
                given = UploadedFile(path.name, file)
                save_upload(work, [given], Patient(name), voxels=10**8)
        paths = [work.scan(name) for name in CASES]
        for path in paths:
            api.predict([path], out=work.cases, model=models, options=PredictOptions(pages=True))
        (work.cases / "summary.csv").unlink()
        for name in CASES:
            make_view(work, name)
    return work


@pytest.fixture
def work(template, tmp_path):
    """A copy of the reading room."""
    shutil.copytree(template.root, tmp_path / "work")
    return WorkFolder(tmp_path / "work", template.models)


@pytest.fixture
def room(work):
    """The copy, open."""
    with served(work.root, *work.models) as opened:
        yield opened
