"""Folders of no known layout: guesses by name, patterns, and refusals by name."""

import os
import shutil
import zipfile

import pytest
from trees import image, labels, manifest

from plgg.data.layouts.folder import patient_of, role


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("P001_flair", "flair"), ("P001-T2F", "flair"), ("t2_tirm_tra_dark-fluid", "flair"),
        ("T2-FLAIR", "flair"), ("3DFLAIR", "flair"), ("P001_flair_seg", "mask"),
        ("tumour_mask", "mask"), ("ROI", "mask"), ("P001_label", "mask"), ("brain_mask", "other"),
        ("T1_to_FLAIR", "other"), ("P1_t1w_space-FLAIR", "other"), ("t1_2_flair", "other"),
        ("T2_reg2FLAIR", "other"), ("T1_FLAIR", "other"), ("FLAIR_to_T1", "flair"),
        ("P_1_T2_in_T1_flair", "other"), ("T2FLAIR_2", "flair"), ("2D_T2_FLAIR", "flair"),
        ("brain_tumor_seg", "mask"), ("P001_t1ce", "other"), ("P001", "plain"),
    ],
)  # fmt: skip
def test_names_tell_what_an_image_is(stem, expected):
    assert role(stem) == expected


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("P001_flair", "P001"), ("P001", "P001"), ("P-1_x_tumor_mask", "P-1_x"), ("flair", "flair")],
)
def test_the_rest_of_a_name_is_the_patient(stem, expected):
    assert patient_of(stem) == expected


def test_files_side_by_side_are_paired_by_patient(tmp_path):
    data = tmp_path / "d"
    image(data / "P001_flair.nii.gz")
    labels(data / "P001_tumor_mask.nii.gz")
    image(data / "P001_t1.nii.gz")
    image(data / "P002.NII.GZ")
    image(data / "._P009_flair.nii.gz")
    done = manifest("folder", data, out=tmp_path / "m.csv")
    assert [(r["patient_id"], r["flair"], r["mask"]) for r in done.rows] == [
        ("P001", "d/P001_flair.nii.gz", "d/P001_tumor_mask.nii.gz"),
        ("P002", "d/P002.NII.GZ", ""),
    ]


def test_subfolders_are_patients_and_what_is_unclear_is_refused_by_name(tmp_path):
    data = tmp_path / "d"
    image(data / "good/scan/t2_tirm.nii.gz")
    labels(data / "good/roi.nii.gz")
    image(data / "two/a_flair.nii.gz")
    image(data / "two/b_flair.nii.gz")
    image(data / "masks/flair.nii.gz")
    labels(data / "masks/mask.nii.gz")
    labels(data / "masks/seg.nii.gz")
    image(data / "other/t1.nii.gz")
    image(data / "only/series5.nii.gz")
    labels(data / "good/OTMultiClass.nii.gz")
    (data / "empty").mkdir()
    (data / "odd").mkdir()
    (data / "odd/scan.nrrd").write_bytes(b"")
    done = manifest("folder", data, out=tmp_path / "m.csv", status=1)
    assert [row["patient_id"] for row in done.rows] == ["good", "only"]
    assert "two: 2 could be the FLAIR (two/a_flair.nii.gz, two/b_flair.nii.gz)" in done.err
    assert "masks: 2 could be the mask (masks/mask.nii.gz, masks/seg.nii.gz)" in done.err
    assert "other: has no FLAIR" in done.err
    assert "good: not used: OTMultiClass.nii.gz" in done.err
    assert "empty: has no FLAIR" in done.err
    assert "only: series5.nii.gz is taken as its FLAIR" in done.err
    assert "not read: odd/scan.nrrd" in done.err


def test_patterns_settle_what_names_do_not(tmp_path):
    data = tmp_path / "d"
    for name in ("a", "b"):
        image(data / f"p1/{name}_flair.nii.gz")
        labels(data / f"p1/{name}_mask.nii.gz")
    options = ("--flair", "b_*flair*", "--mask", "b_mask*")
    (row,) = manifest("folder", data, *options, out=tmp_path / "m.csv").rows
    assert row["flair"].endswith("p1/b_flair.nii.gz")
    assert row["mask"].endswith("p1/b_mask.nii.gz")
    err = manifest("folder", data, "--flair", "x*", out=tmp_path / "n.csv", status=2).err
    assert "p1: has no FLAIR" in err


def test_patterns_are_refused_where_names_are_fixed(tmp_path):
    image(tmp_path / "d/BraTS2021_00001_flair.nii.gz")
    err = manifest("brats", tmp_path / "d", "--flair", "*", out=tmp_path / "m.csv", status=2).err
    assert "--flair is not read with this layout" in err


@pytest.mark.real
def test_dicom_is_named_by_the_patients_folder_or_zip(shared_data, tmp_path):
    series = shared_data / "dicom" / "anatomical" / "001"
    data = tmp_path / "d"
    shutil.copytree(series, data / "p1" / "series")
    labels(data / "p1/mask.nii.gz")
    with zipfile.ZipFile(data / "p2.zip", "w") as archive:
        for path in sorted(series.iterdir()):
            archive.write(path, path.name)
    done = manifest("folder", data, out=tmp_path / "m.csv")
    assert [(r["patient_id"], r["flair"], r["mask"]) for r in done.rows] == [
        ("p1", "d/p1", "d/p1/mask.nii.gz"),
        ("p2", "d/p2.zip", ""),
    ]


def test_links_in_rings_are_followed_once(tmp_path):
    data = tmp_path / "d"
    for name in ("P001", "P002"):
        image(data / name / "deep" / "flair.nii.gz")
        (data / name / "up").symlink_to(data)
        (data / name / "self").symlink_to(".")
    (data / "P001" / "other").symlink_to(data / "P001" / "deep")
    (data / "all").symlink_to(data)
    (data / "P001" / "ring").symlink_to("ring")
    done = manifest("folder", data, out=tmp_path / "m.csv")
    assert [row["patient_id"] for row in done.rows] == ["P001", "P002"]


def test_a_name_that_no_manifest_can_hold_is_left_out_and_told(tmp_path):
    data = tmp_path / "d"
    image(data / "P001_flair.nii.gz")
    image(data / os.fsdecode(b"caf\xe9") / "P002_flair.nii.gz")
    done = manifest("folder", data, out=tmp_path / "m.csv", status=1)
    assert [row["patient_id"] for row in done.rows] == ["P001"]
    assert r"caf\udce9/P002_flair.nii.gz: its name is not UTF-8" in done.err
