"""BIDS datasets."""

import pytest
from trees import image, labels, manifest, text


@pytest.fixture
def study(tmp_path):
    """Two sessions of one child, two runs of another, one without images but a T1."""
    root = tmp_path / "study"
    first = root / "sub-01"
    for session in ("1", "2"):
        image(first / f"ses-{session}/anat/sub-01_ses-{session}_FLAIR.nii.gz")
        derived = root / f"derivatives/masks/sub-01/ses-{session}/anat"
        labels(derived / f"sub-01_ses-{session}_label-tumor_mask.nii.gz")
        labels(derived / f"sub-01_ses-{session}_desc-brain_mask.nii.gz")
    for run in ("1", "2"):
        image(root / f"sub-02/anat/sub-02_acq-3d_run-{run}_FLAIR.nii")
    image(root / "sub-03/anat/sub-03_T1w.nii.gz")
    text(
        root / "participants.tsv",
        "participant_id\tage\tsex\tBRAF\tsite",
        "sub-01\t034Y\tF\tfusion\tA",
        "sub-02\tn/a\tn/a\tn/a\tn/a",
        "sub-09\t4\tM\tV600E\tB",
        encoding="utf-8-sig",
        end="\r\n",
    )
    text(first / "sub-01_sessions.tsv", "session_id\tage", "ses-1\t7.5", "ses-2\tn/a")
    return root


def test_every_raw_flair_is_a_scan_with_its_labels(study, tmp_path):
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    first = done.by_scan["sub-01", "ses-1"]
    assert first == {
        "patient_id": "sub-01",
        "flair": "study/sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz",
        "mask": "study/derivatives/masks/sub-01/ses-1/anat/sub-01_ses-1_label-tumor_mask.nii.gz",
        "marker": "fusion",
        "scan_id": "ses-1",
        "site": "A",
        "age_years": "7.5",
        "sex": "F",
    }
    assert done.by_scan["sub-01", "ses-2"]["age_years"] == "34"
    blank = done.by_scan["sub-02", "acq-3d_run-1"]
    assert {blank[k] for k in ("mask", "marker", "site", "age_years", "sex")} == {""}
    assert len(done.rows) == 4
    assert "2 patients, 4 scans, 2 with a mask, 2 with a marker, 1 left out" in done.out


@pytest.mark.parametrize("part", ["phase", "real", "imag"])
def test_phase_real_and_imaginary_parts_are_no_scans(study, tmp_path, part):
    for name in ("mag", part):
        image(study / f"sub-04/anat/sub-04_part-{name}_FLAIR.nii.gz")
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    assert ("sub-04", "part-mag") in done.by_scan
    assert ("sub-04", f"part-{part}") not in done.by_scan


def test_what_is_not_used_is_named(study, tmp_path):
    image(study / "sub-01/ses-1/anat/sub-01_ses-1_space-MNI_FLAIR.nii.gz")
    (study / "sub-01/ses-3/anat").mkdir(parents=True)
    err = manifest("bids", study, out=tmp_path / "m.csv", status=1).err
    assert "plgg: sub-03: has no anat/*_FLAIR.nii.gz" in err
    assert "without a folder: sub-09" in err
    assert "sub-01: no FLAIR in ses-3" in err
    assert "desc-brain_mask" in err
    assert "The marker is the column 'braf'" in err


def test_a_mask_of_one_of_two_runs_must_say_which(study, tmp_path):
    derived = study / "derivatives/manual-lesions/sub-02/anat"
    labels(derived / "sub-02_mask.nii.gz")
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    assert done.by_scan["sub-02", "acq-3d_run-1"]["mask"] == ""
    labels(derived / "sub-02_acq-3d_run-2_mask.nii.gz")
    done = manifest("bids", study, out=tmp_path / "n.csv", status=1)
    assert done.by_scan["sub-02", "acq-3d_run-1"]["mask"] == ""
    assert done.by_scan["sub-02", "acq-3d_run-2"]["mask"].endswith("run-2_mask.nii.gz")


def test_a_mask_that_fits_no_scan_or_several_is_told(study, tmp_path):
    labels(study / "derivatives/manual-lesions/sub-02/anat/sub-02_mask.nii.gz")
    err = manifest("bids", study, out=tmp_path / "m.csv", status=1).err
    assert "sub-02_mask.nii.gz" in err


def test_two_masks_that_fit_are_refused_until_one_is_chosen(study, tmp_path):
    derived = study / "derivatives/second/sub-01/ses-1/anat"
    labels(derived / "sub-01_ses-1_label-lesion_desc-reader2_dseg.nii.gz")
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    assert ("sub-01", "ses-1") not in done.by_scan
    assert "sub-01_ses-1: 2 masks fit" in done.err
    done = manifest("bids", study, "--mask", "*label-tumor*", out=tmp_path / "n.csv", status=1)
    assert "label-tumor" in done.by_scan["sub-01", "ses-1"]["mask"]


@pytest.mark.parametrize(
    "name",
    [
        "sub-02_acq-3d_run-1_desc-brain_mask",
        "sub-02_acq-3d_run-1_label-ET_mask",
        "sub-02_acq-3d_run-1_label-GM_dseg",
        "sub-02_acq-3d_run-1_space-MNI152_label-tumor_mask",
        "sub-02_acq-3d_run-1_desc-tumorcore_mask",
        "sub-02_acq-3d_run-1_dseg",
    ],
)
def test_a_mask_of_something_else_is_no_tumour_mask(study, tmp_path, name):
    labels(study / f"derivatives/pipeline/sub-02/anat/{name}.nii.gz")
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    assert done.by_scan["sub-02", "acq-3d_run-1"]["mask"] == ""
    assert name in done.err


@pytest.mark.parametrize("suffix", ["mask", "dseg"])
def test_a_prediction_is_no_truth_in_a_folder_of_any_name(study, tmp_path, suffix):
    name = f"sub-02_acq-3d_run-1_desc-plgg_{suffix}"
    labels(study / f"derivatives/tumour-lesions/sub-02/anat/{name}.nii.gz")
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    assert done.by_scan["sub-02", "acq-3d_run-1"]["mask"] == ""
    assert name in done.err


@pytest.mark.parametrize("label", ["lesion", "tumour", "Tumor", "WT", "wholetumor"])
def test_a_mask_in_the_words_for_tumour_is_found(study, tmp_path, label):
    path = study / f"derivatives/p/sub-02/anat/sub-02_acq-3d_run-1_label-{label}_dseg.nii.gz"
    labels(path, (0, 1, 2))
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    assert done.by_scan["sub-02", "acq-3d_run-1"]["mask"].endswith(path.name)


def test_one_scan_in_two_formats_is_refused(study, tmp_path):
    image(study / "sub-02/anat/sub-02_acq-3d_run-1_FLAIR.nii.gz")
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    assert ("sub-02", "acq-3d_run-1") not in done.by_scan
    assert done.err.count("have one name; keep one") == 1


def test_the_marker_column_can_be_named_and_must_be_there(study, tmp_path):
    done = manifest("bids", study, "--marker-column", "Site", out=tmp_path / "m.csv", status=1)
    assert done.by_scan["sub-01", "ses-1"]["marker"] == "A"
    refused = manifest("bids", study, "--marker-column", "x", out=tmp_path / "n.csv", status=2)
    assert "it has: participant_id, age, sex, braf, site" in refused.err


def test_one_participant_whose_age_is_none_is_left_out_by_name(study, tmp_path):
    text(study / "participants.tsv", "participant_id\tage", "sub-01\tyoung", "sub-02\t7")
    done = manifest("bids", study, out=tmp_path / "m.csv", status=1)
    assert {row["patient_id"] for row in done.rows} == {"sub-02"}
    (said,) = {line for line in done.err.splitlines() if "sub-01_ses-1" in line}
    assert "participants.tsv, sub-01: 'young' is no age" in said
