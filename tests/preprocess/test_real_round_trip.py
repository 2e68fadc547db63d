"""Real scans through the store and back to their own grid."""

import numpy as np
import pytest

from plgg.config import Config, GridConfig
from plgg.data.manifest import read_manifest
from plgg.data.nifti.image import read_volume
from plgg.data.store import Store
from plgg.data.store_arrays import OUTSIDE, decode
from plgg.metrics.overlap import hard_dice
from plgg.preprocess.cohort import preprocess_cohort
from plgg.preprocess.grid import sri24_grid
from plgg.preprocess.normalise import normalise_scan, restore

pytestmark = pytest.mark.real


@pytest.mark.slow
def test_masks_of_thick_slices_come_back_from_2_mm(shared_data, tmp_path):
    cases = read_manifest(shared_data / "tcga-lgg" / "manifest.csv")[::30]
    cohort = preprocess_cohort(cases, tmp_path, Config(grid=GridConfig(spacing_mm=2.0)))
    assert not cohort.failed
    store = Store(tmp_path)
    for case in cases:
        truth = read_volume(case.mask)
        back = restore(store.mask(case.case_id), store.placement(case.case_id))
        np.testing.assert_array_equal(back.affine, truth.affine)
        assert hard_dice(back.data >= 0.5, truth.data > 0) >= 0.9, case.case_id


def test_z_scores_with_negative_values_survive(shared_data):
    folder = shared_data / "brats2013" / "brats_2013_pat0006_1"
    flair = read_volume(folder / "Flair_subtrMeanDivStd.nii.gz")
    brain = read_volume(folder / "brainmask.nii.gz").data > 0.5
    mask = read_volume(folder / "OTMultiClass.nii.gz")
    # The file's background is its darkest value; the check asks for 0.
    stripped = np.where(brain, flair.data, 0).astype(np.float32)
    assert (stripped[brain] < 0).mean() > 0.3
    prepared = normalise_scan(flair.with_data(stripped), mask, sri24_grid(1.0))
    back = restore(prepared.mask, prepared.placement)
    assert hard_dice(back.data >= 0.5, mask.data > 0) >= 0.95
    inside = prepared.image != OUTSIDE
    assert np.count_nonzero(inside) == pytest.approx(np.count_nonzero(brain), rel=0.01)
    image = restore(decode(prepared.image), prepared.placement).data
    deep = brain & (back.data < 2)
    assert np.corrcoef(image[deep], flair.data[deep])[0, 1] > 0.97
