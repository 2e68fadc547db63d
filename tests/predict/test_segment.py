"""Array in, array out: the mask of `plgg predict`, nothing written, bad arrays refused."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import plgg
from helper import ODD_AFFINES, blob_brain, write_nifti
from plgg import api
from plgg.core.errors import InputError, PlggError
from plgg.predict.options import PredictOptions
from runs import CLASSES, make_run

NO_PAGES = PredictOptions(pages=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), "inference.threshold=0.4")


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty working folder, in which nothing may appear."""
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")
    return tmp_path / "nowhere"


@pytest.mark.parametrize("name", ["ras", "sagittal", "oblique-lps"])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16])
def test_the_mask_is_that_of_the_file(run, tmp_path, nowhere, name, kind):
    scan, _ = blob_brain(affine=ODD_AFFINES[name])
    data = scan.data.astype(kind)
    path = write_nifti(tmp_path / "scan.nii.gz", data, scan.affine)
    (outcome,) = api.predict([path], model=run, out=tmp_path / "out", options=NO_PAGES)
    found = plgg.segment(data, scan.affine, model=run)
    assert not list(nowhere.iterdir())
    mask = np.asanyarray(nib.load(tmp_path / "out/scan/mask.nii.gz").dataobj)
    assert found.mask.dtype == bool
    assert found.mask.shape == data.shape
    assert 0 < found.mask.sum() < found.mask.size
    np.testing.assert_array_equal(found.mask, mask)
    written = nib.load(tmp_path / "out/scan/probability.nii.gz").get_fdata()
    assert found.probability.dtype == np.float32
    np.testing.assert_allclose(found.probability, written, atol=0.0021)
    result = outcome.result
    assert found.volume_ml == result.volume_ml
    assert found.marker == result.marker.probabilities
    assert set(found.marker) == set(CLASSES)
    assert found.verdicts == result.quality.verdicts
    assert found.warnings == result.warnings


def test_several_runs_are_an_ensemble(run, tmp_path):
    other = make_run(tmp_path / "other", seed=1)
    scan, _ = blob_brain()
    one, two = (plgg.segment(scan.data, scan.affine, model=m).probability for m in (run, other))
    both = plgg.segment(scan.data, scan.affine, model=[run, other]).probability
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-5)


def test_sequences_are_named_and_may_be_missing(tmp_path):
    run = make_run(tmp_path / "run", "channels=[t2]", "inference.threshold=0.4")
    scan, _ = blob_brain()
    named = plgg.segment({"t2": (scan.data, scan.affine)}, model=run)
    alone = plgg.segment(scan.data, scan.affine, model=run)
    np.testing.assert_array_equal(named.mask, alone.mask)
    with pytest.raises(InputError, match="none of the sequences that the model wants"):
        plgg.segment({"flair": (scan.data, scan.affine)}, model=run)


def test_the_answer_is_frozen(run):
    scan, _ = blob_brain()
    found = plgg.segment(scan.data, scan.affine, model=run)
    with pytest.raises(FrozenInstanceError):
        found.volume_ml = 0.0


def _with_nan(data):
    changed = data.copy()
    changed[3, 4, 5] = np.nan
    return changed


@pytest.mark.parametrize(
    ("change", "affine", "told"),
    [
        (lambda data: data[0], np.eye(4), r"shape \(40, 32\)"),
        (lambda data: data[None], np.eye(4), r"shape \(1, 36, 40, 32\)"),
        (lambda data: data[:0], np.eye(4), "shape"),
        (_with_nan, np.eye(4), "NaN or infinity"),
        (lambda data: data + 1j, np.eye(4), "complex"),
        (lambda data: data.astype(str), np.eye(4), "is of <U"),
        (lambda data: data, np.zeros((4, 4)), "cannot be inverted"),
        (lambda data: data, np.full((4, 4), np.nan), "not a finite 4×4"),
        (lambda data: data, np.eye(3), "not a finite 4×4"),
        (lambda data: data, "affine", "no array of numbers"),
        (lambda data: data, None, "no affine"),
        (lambda data: {"flare": (data, np.eye(4))}, None, "no sequence is called 'flare'"),
        (lambda data: {"flair": data}, None, "no pair"),
        (lambda _: {}, None, "at least one image"),
    ],
)
def test_a_bad_array_is_refused_in_one_line(run, change, affine, told):
    scan, _ = blob_brain()
    with pytest.raises(InputError, match=told) as refused:
        plgg.segment(change(scan.data), affine, model=run)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy


def test_options_of_files_and_a_run_that_is_not_there_are_refused(run, tmp_path):
    scan, _ = blob_brain()
    with pytest.raises(PlggError, match="predictions in files"):
        plgg.segment(scan.data, scan.affine, model=run, options=PredictOptions(part="test"))
    with pytest.raises(PlggError, match=r"nothing is there|no such"):
        plgg.segment(scan.data, scan.affine, model=tmp_path / "none")


def test_importing_plgg_loads_nothing():
    code = (
        "import sys, plgg; heavy = {'numpy', 'torch', 'pydantic', 'monai'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    source = Path(plgg.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(source)})
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = plgg.nothing_such
