"""The kaggle_3m tree: tif slices to volumes."""

import csv

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from trees import manifest, text

from plgg.core.volume import same_grid
from plgg.data.nifti.image import read_volume

NAME = "TCGA_CS_4941_19960909"


def write_slices(folder, flair, mask=None):
    """The tree's own pictures of arrays of shape (columns, rows, slices)."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(flair.shape[2]):
        plane = flair[..., k].T
        channels = np.stack([plane // 2, plane, 255 - plane], axis=-1)
        Image.fromarray(channels).save(folder / f"{folder.name}_{k + 1}.tif")
        if mask is not None:
            grey = (mask[..., k].T > 0).astype(np.uint8) * 255
            Image.fromarray(grey).save(folder / f"{folder.name}_{k + 1}_mask.tif")


@pytest.fixture
def head():
    """Twelve slices, so that 10 must come after 9, each with its own number in it."""
    flair = np.random.default_rng(0).integers(0, 250, (16, 16, 12)).astype(np.uint8)
    mask = np.zeros_like(flair)
    mask[3:6, 2:9, 4:7] = 1
    return flair, mask


def test_slices_become_one_volume_in_the_order_of_their_numbers(tmp_path, head):
    write_slices(tmp_path / "d/kaggle_3m" / NAME, *head)
    done = manifest("kaggle-lgg", tmp_path / "d", out=tmp_path / "m.csv")
    (row,) = done.rows
    assert row == {
        "patient_id": "TCGA_CS_4941", "flair": "m_files/TCGA_CS_4941_flair.nii.gz",
        "mask": "m_files/TCGA_CS_4941_mask.nii.gz", "marker": "", "scan_id": "", "site": "CS",
        "age_years": "", "sex": "",
    }  # fmt: skip
    flair, mask = (nib.load(tmp_path / row[k]) for k in ("flair", "mask"))
    np.testing.assert_array_equal(flair.dataobj, head[0])
    np.testing.assert_array_equal(mask.dataobj, head[1])
    assert flair.get_data_dtype() == mask.get_data_dtype() == np.uint8
    assert nib.aff2axcodes(flair.affine) == ("L", "P", "S")
    np.testing.assert_allclose(nib.affines.voxel_sizes(flair.affine), (0.9375, 0.9375, 12.5))
    assert "records no spacing: 0.9375 mm in plane and 150 mm" in done.err


def test_the_table_gives_age_sex_and_on_demand_a_cluster(tmp_path, head):
    tree = tmp_path / "kaggle_3m"
    write_slices(tree / NAME, *head)
    header = "Patient,RNASeqCluster,gender,age_at_initial_pathologic"
    text(tree / "data.csv", header, "TCGA_CS_4941,2.0,2,67.0", "TCGA_XX_0000,,1,")
    done = manifest("kaggle-lgg", tree, out=tmp_path / "m.csv")
    assert [done.rows[0][k] for k in ("marker", "age_years", "sex")] == ["", "67", "M"]
    assert "rnaseqcluster" in done.err
    assert "without a folder: TCGA_XX_0000" in done.err
    chosen = manifest(
        "kaggle-lgg", tree, "--marker-column", "RNASeqCluster", out=tmp_path / "n.csv"
    )
    assert chosen.rows[0]["marker"] == "2"


def test_broken_patients_are_named_and_the_rest_is_written(tmp_path, head):
    tree = tmp_path / "t"
    names = [f"TCGA_DU_{n:04d}_20000101" for n in range(7)]
    for name in names:
        write_slices(tree / name, *head)
    (tree / names[1] / f"{names[1]}_5.tif").unlink()
    (tree / names[2] / f"{names[2]}_5_mask.tif").unlink()
    (tree / names[3] / f"{names[3]}_5.tif").write_bytes(b"II*\0 cut")
    Image.new("RGB", (8, 8)).save(tree / names[4] / f"{names[4]}_5.tif")
    for path in (tree / names[5]).iterdir():
        path.unlink()
    for path in (tree / names[6]).glob("*_mask.tif"):
        path.unlink()
    done = manifest("kaggle-lgg", tree, out=tmp_path / "m.csv", status=1)
    assert [row["patient_id"] for row in done.rows] == ["TCGA_DU_0000", "TCGA_DU_0006"]
    assert done.rows[1]["mask"] == ""
    for words in (
        "lacks slice 5",
        "without its mask",
        "as a picture",
        "differs in size",
        "no slices",
    ):
        assert words in done.err
    assert sorted(p.name[:12] for p in (tmp_path / "m_files").glob("*.nii.gz")) == [
        "TCGA_DU_0000", "TCGA_DU_0000", "TCGA_DU_0006",
    ]  # fmt: skip


def test_the_second_copy_in_the_download_is_passed_over(tmp_path, head):
    for tree in ("kaggle_3m", "lgg-mri-segmentation/kaggle_3m"):
        write_slices(tmp_path / "d" / tree / NAME, *head)
    assert len(manifest("kaggle-lgg", tmp_path / "d", out=tmp_path / "m.csv").rows) == 1


@pytest.mark.real
def test_a_real_patient_comes_back_in_the_same_place(shared_data, tmp_path):
    cohort = shared_data / "tcga-lgg"
    with (cohort / "manifest.csv").open(newline="") as handle:
        row = list(csv.DictReader(handle))[7]
    flair, mask = (read_volume(cohort / row[k]) for k in ("flair", "mask"))
    folder = tmp_path / "kaggle_3m" / f"{row['patient_id']}_19990101"
    write_slices(folder, flair.data.astype(np.uint8), mask.data)
    (found,) = manifest("kaggle-lgg", tmp_path, out=tmp_path / "out" / "m.csv").rows
    assert found["site"] == row["site"]
    for key, original in (("flair", flair), ("mask", mask)):
        again = read_volume(tmp_path / "out" / found[key])
        np.testing.assert_array_equal(again.data, original.data)
        assert same_grid(again, original, tolerance_mm=1e-3)
