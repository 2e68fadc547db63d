"""The model that ships: found, listed, taken by itself, small, and without any patient in it."""

import json
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from plgg import api
from plgg.data.ensemble_folder import member_runs
from plgg.data.installed_models import installed_models, model_folder
from plgg.data.nifti.image import read_volume
from plgg.model.checkpoint import load_checkpoint
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import phantom_settings
from program import plgg

NAME = "glioma-flair"
PACKAGE = Path(__file__).parents[1] / "models" / NAME
MOST_BYTES = 40 * 10**6


@pytest.fixture(scope="module")
def folder():
    return model_folder(Path(NAME))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A phantom at 3 mm, skull on."""
    made = tmp_path_factory.mktemp("patients")
    make_cohort(made, phantom_settings(n_patients=1, seed=5, spacing_mm=3.0))
    return next((made / "images").glob("*flair*.nii.gz"))


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]


def test_it_is_installed_and_listed():
    (model,) = [model for model in installed_models() if model.name == NAME]
    assert model.licence == "CC-BY-NC-SA-4.0"
    assert "children" in model.about
    (listed,) = [one for one in plgg("models", "--json").json() if one["name"] == NAME]
    assert listed["members"] == model.members == len(member_runs([model.folder]))
    assert NAME in plgg("models").out


def test_it_is_small_and_readable(folder):
    assert sum(path.stat().st_size for path in files(folder)) <= MOST_BYTES
    for run in member_runs([folder]):
        assert load_checkpoint(run).meta.config.preset == "best"


def test_no_patient_is_in_it(folder):
    for path in files(folder):
        said = path.read_bytes()
        # Names of the cohort's scans, and places where they lay.
        for word in (b"TCGA_", b"/home/", b"/tmp/", b"/work/", b".nii"):
            assert word not in said, (path.name, word)
    assert not [path for path in files(folder) if path.suffix in {".gz", ".nii", ".b2nd", ".png"}]


def test_the_package_is_what_lies_in_the_repository(folder):
    kept = PACKAGE / "src" / "plgg_glioma_flair" / "model"
    ours = {path.relative_to(kept): path.read_bytes() for path in files(kept)}
    theirs = {path.relative_to(folder): path.read_bytes() for path in files(folder)}
    assert ours == theirs
    assert distribution("plgg-glioma-flair").metadata["License-Expression"] == "CC-BY-NC-SA-4.0"


@pytest.fixture(scope="module")
def predicted(scan, tmp_path_factory):
    """What the program said of the scan, no model named, and the folder of its result."""
    out = tmp_path_factory.mktemp("predicted")
    said = plgg("predict", scan, "--out", out).out
    (result,) = out.glob("*/result.json")
    return said, result.parent


def test_a_scan_needs_no_model_to_be_named(scan, predicted):
    said, folder = predicted
    result = folder / "result.json"
    found = json.loads(result.read_text())
    assert len(found["models"]) == len(member_runs([model_folder(None)]))
    assert "children" in found["note"]
    assert "children" in said
    assert "children" in (result.parent / "report.html").read_text()
    native = read_volume(scan)
    mask = read_volume(result.parent / "mask.nii.gz")
    assert mask.shape == native.shape
    np.testing.assert_allclose(mask.affine, native.affine, atol=1e-4)


def test_arrays_need_none_either(scan, predicted):
    loaded = read_volume(scan)
    found = api.segment(loaded.data, loaded.affine)
    assert found.mask.shape == loaded.shape
    assert np.array_equal(found.mask, read_volume(predicted[1] / "mask.nii.gz").data)


def test_the_one_that_is_taken_unnamed_is_the_one_of_this_name():
    assert member_runs([model_folder(None)]) == member_runs([model_folder(Path(NAME))])


@pytest.mark.real
def test_a_glioblastoma_of_another_source_is_outlined(shared_data):
    """Another source, another grid, z-scored before it came."""
    case = shared_data / "brats2013" / "brats_2013_pat0004_1"
    flair = read_volume(case / "Flair_subtrMeanDivStd.nii.gz")
    truth = read_volume(case / "OTMultiClass.nii.gz").data > 0
    mask = api.segment(flair.data, flair.affine).mask
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    ["patient04_study1_FLAIR", pytest.param("patient20_study2_FLAIR", marks=pytest.mark.slow)],
)
def test_where_there_is_no_tumour_hardly_any_is_invented(shared_data, name):
    """Multiple sclerosis: bright lesions that are no tumour."""
    loaded = read_volume(shared_data / "raw-flair" / f"{name}.nii.gz")
    assert api.segment(loaded.data, loaded.affine).volume_ml < 2.0
