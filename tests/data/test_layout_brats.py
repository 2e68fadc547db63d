"""BraTS, adult and pediatric, and the whole tumour from masks of several classes."""

import nibabel as nib
import numpy as np
import pytest
from trees import AFFINE, image, labels, manifest, text

from plgg.data.nifti.image import read_volume

OLD = ["Brats18_CBICA_AAB_1", "BraTS19_TCIA01_147_1", "BraTS20_Training_001", "BraTS2021_00000"]


@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize("above", ["", "HGG", "MICCAI_BraTS_2018_Data_Training/LGG"])
def test_older_names_are_read_at_any_depth(tmp_path, name, above):
    data = tmp_path / "data"
    folder = data / above / name
    for sequence in ("flair", "t1", "t1ce", "t2"):
        image(folder / f"{name}_{sequence}.nii.gz")
    mask = labels(folder / f"{name}_seg.nii.gz", (0, 1, 2, 4))
    done = manifest("brats", data, out=tmp_path / "m.csv")
    (row,) = done.rows
    assert (row["patient_id"], row["scan_id"]) == (name, "")
    assert row["flair"] == (folder / f"{name}_flair.nii.gz").relative_to(tmp_path).as_posix()
    assert row["mask"] == f"m_files/{name}_mask.nii.gz"
    made = nib.load(tmp_path / row["mask"])
    assert made.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(made.dataobj, np.asarray(nib.load(mask).dataobj) > 0)
    np.testing.assert_allclose(made.affine, AFFINE)


def test_newer_names_give_patient_and_timepoint(tmp_path):
    data = tmp_path / "data"
    for name in ("BraTS-GLI-00005-100", "BraTS-GLI-00005-101", "BraTS-GLI-00007-000"):
        image(data / name / f"{name}-t2f.nii.gz")
    labels(data / "BraTS-GLI-00005-100/BraTS-GLI-00005-100-seg.nii.gz", (0, 1, 2, 3))
    done = manifest("brats", data, out=tmp_path / "m.csv")
    assert set(done.by_scan) == {
        ("BraTS-GLI-00005", "100"),
        ("BraTS-GLI-00005", "101"),
        ("BraTS-GLI-00007", "000"),
    }
    assert [bool(row["mask"]) for row in done.rows] == [True, False, False]
    assert "2 patients, 3 scans, 1 with a mask" in done.out


@pytest.mark.parametrize(
    ("layout", "name", "counts"),
    [("brats", "BraTS-GLI-00001-000", False), ("brats-peds", "BraTS-PED-00001-000", True)],
)
def test_label_4_is_a_cavity_in_adults_and_oedema_in_children(tmp_path, layout, name, counts):
    image(tmp_path / f"d/{name}/{name}-t2f.nii.gz")
    mask = labels(tmp_path / f"d/{name}/{name}-seg.nii.gz", (0, 1, 2, 3, 4))
    (row,) = manifest(layout, tmp_path / "d", out=tmp_path / "m.csv").rows
    original = read_volume(mask).data
    made = read_volume(tmp_path / row["mask"]).data
    assert set(made[original == 4].tolist()) == {float(counts)}
    assert made[(original > 0) & (original < 4)].all()
    assert not made[original == 0].any()


def test_labels_may_be_kept(tmp_path):
    """For `tasks.segmentation.labels`: the mask is named where it lies, nothing is made."""
    name = "BraTS-PED-00001-000"
    image(tmp_path / f"d/{name}/{name}-t2f.nii.gz")
    labels(tmp_path / f"d/{name}/{name}-seg.nii.gz", (0, 1, 2, 3, 4))
    (row,) = manifest("brats-peds", tmp_path / "d", "--keep-labels", out=tmp_path / "m.csv").rows
    assert row["mask"] == f"d/{name}/{name}-seg.nii.gz"


def test_a_binary_mask_is_named_where_it_lies(tmp_path):
    image(tmp_path / "d/BraTS-PED-00001-000-t2f.nii.gz")
    labels(tmp_path / "d/BraTS-PED-00001-000-seg.nii.gz", (0, 1))
    (row,) = manifest("brats-peds", tmp_path / "d", out=tmp_path / "m.csv").rows
    assert row["mask"] == "d/BraTS-PED-00001-000-seg.nii.gz"
    assert not (tmp_path / "m_files").exists()


def test_what_cannot_be_used_is_named_and_the_rest_is_written(tmp_path):
    data = tmp_path / "BraTS2021_Training_Data"
    image(data / "BraTS2021_00001/BraTS2021_00001_flair.nii.gz")
    image(data / "BraTS2021_00002/BraTS2021_00002_t1.nii.gz")
    (data / "BraTS2021_00003").mkdir()
    for copy in ("a", "b"):
        image(data / copy / "BraTS2021_00004_flair.nii.gz")
    image(data / "BraTS2021_00005/BraTS2021_00005_flair.nii.gz")
    (data / "BraTS2021_00005/BraTS2021_00005_seg.nii.gz").write_bytes(b"no image")
    image(data / "BraTS2021_00006/BraTS2021_00006_flair.nii.gz")
    image(data / "BraTS2021_00006/BraTS2021_00006_seg.nii.gz")
    done = manifest("brats", data, out=tmp_path / "m.csv", status=1)
    assert [row["patient_id"] for row in done.rows] == ["BraTS2021_00001"]
    for number, words in {
        2: "no FLAIR",
        3: "no FLAIR",
        4: "2 times",
        5: "NIfTI",
        6: "mask",
    }.items():
        line = done.err.split(f"plgg: BraTS2021_0000{number}: ")[1].split("plgg: ")[0]
        assert words in line
    assert "5 left out" in done.out


def test_the_misnamed_mask_of_one_case_is_taken_and_told(tmp_path):
    folder = tmp_path / "d/BraTS20_Training_355"
    image(folder / "BraTS20_Training_355_flair.nii")
    labels(folder / "W39_1998.09.19_Segm.nii", (0, 2))
    done = manifest("brats", tmp_path / "d", out=tmp_path / "m.csv")
    assert done.rows[0]["mask"]
    assert "W39_1998.09.19_Segm.nii is taken as its mask" in done.err


def test_tables_beside_give_age_site_and_on_demand_the_grade(tmp_path):
    data = tmp_path / "d"
    for name in ("BraTS20_Training_001", "BraTS20_Training_002"):
        image(data / name / f"{name}_flair.nii")
    text(
        data / "survival_info.csv", "Brats20ID,Age,Survival_days", "BraTS20_Training_001,60.46,289"
    )
    text(
        data / "name_mapping.csv",
        "Grade,BraTS_2019_subject_ID,BraTS_2020_subject_ID",
        "HGG,BraTS19_CBICA_AAB_1,BraTS20_Training_001",
        "LGG,NA,BraTS20_Training_002",
        end="\r\n",
    )
    plain = manifest("brats", data, out=tmp_path / "m.csv")
    assert [(r["age_years"], r["marker"]) for r in plain.rows] == [("60.46", ""), ("", "")]
    graded = manifest("brats", data, "--marker-column", "grade", out=tmp_path / "n.csv")
    assert [row["marker"] for row in graded.rows] == ["HGG", "LGG"]
    refused = manifest("brats", data, "--marker-column", "idh", out=tmp_path / "o.csv", status=2)
    assert "no table has a column 'idh'" in refused.err


def test_the_other_challenge_is_not_taken_for_this_one(tmp_path):
    image(tmp_path / "d/BraTS-PED-00001-000/BraTS-PED-00001-000-t2f.nii.gz")
    err = manifest("brats", tmp_path / "d", out=tmp_path / "m.csv", status=2).err
    assert "BraTS-GLI-00000-000-t2f.nii.gz" in err
    assert not (tmp_path / "m.csv").exists()
