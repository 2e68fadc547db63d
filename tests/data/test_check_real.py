"""The check on real scans: a good cohort passes, raw heads are told from stripped ones."""

import pytest

from helper import write_csv
from plgg.data.check.cohort import check_manifest
from plgg.data.check.image import inspect_image
from plgg.data.nifti.image import read_volume

pytestmark = pytest.mark.real


def test_the_real_cohort_has_no_errors(shared_data):
    report = check_manifest(shared_data / "tcga-lgg" / "manifest.csv", workers=2)
    assert report.n_errors == 0
    assert (report.n_cases, report.n_patients) == (86, 86)
    assert report.class_counts == {"IDHmut-codel": 23, "IDHmut-noncodel": 44, "IDHwt": 19}
    # The spacing of this cohort is an estimate, so some brains come out too large.
    assert {finding.code for finding in report.findings} <= {"brain-volume", "mask-outside"}


def test_raw_heads_are_recognised(shared_data):
    for path in sorted((shared_data / "raw-flair").glob("*.nii.gz")):
        (finding,) = inspect_image(read_volume(path))
        assert (finding.code, finding.severity) == ("not-stripped", "note"), path.name


def test_z_scored_scans_with_a_background_are_told_so(shared_data):
    for path in sorted((shared_data / "brats2013").glob("*/Flair*.nii.gz")):
        (finding,) = inspect_image(read_volume(path))
        assert (finding.code, finding.severity) == ("background", "note"), path.name


def test_a_series_of_dicom_slices_is_not_a_nifti(shared_data, tmp_path):
    slice_ = next((shared_data / "dicom").rglob("*.dcm"))
    manifest = write_csv(tmp_path / "manifest.csv", "patient_id,flair", f"P0,{slice_}")
    assert "unreadable" in {finding.code for finding in check_manifest(manifest).findings}
