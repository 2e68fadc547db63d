"""Labels of the mask as BIDS derivatives: a discrete segmentation and its look-up table."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
from bids_study import issues_of, write_bids

from helper import ODD_AFFINES
from plgg.config import Label
from plgg.data.labels import region
from program import plgg
from runs import make_run

SETTING = "tasks.segmentation.labels={tumour: [1, 2, 3], solid_part: [1, 3], cyst: 3}"
LABELS = (
    Label(name="tumour", values=(1, 2, 3)),
    Label(name="solid_part", values=(1, 3)),
    Label(name="cyst", values=(3,)),
)
SCANS = {
    "sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz": "oblique-lps",
    "sub-02/anat/sub-02_acq-3d_FLAIR.nii.gz": "thick",
}


@pytest.fixture(scope="module")
def derived(tmp_path_factory):
    """Both levels, by a network of chance weights, which outlines something everywhere."""
    folder = tmp_path_factory.mktemp("bids-labels")
    scans = [(path, ODD_AFFINES[name]) for path, name in SCANS.items()]
    root = write_bids(folder / "study", scans)
    run = make_run(folder / "run", SETTING)
    out = root / "derivatives" / "plgg"
    plgg("bids", root, out, "participant", "--model", run)
    plgg("bids", root, out, "group")
    return out


def derivative(derived, path, suffix):
    return derived / f"{path.removesuffix('_FLAIR.nii.gz')}_desc-plgg_{suffix}"


def table_of(path):
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_they_are_valid_bids(derived):
    assert issues_of(derived) == []
    assert issues_of(derived, severity="warning", leave=("TOO_FEW_AUTHORS",)) == []
    ignored = (derived / ".bidsignore").read_text()
    assert "dseg" not in ignored


def test_a_look_up_table_that_lacks_its_names_is_not(derived):
    """The validator looks into these tables at all."""
    table = derivative(derived, next(iter(SCANS)), "dseg.tsv")
    whole = table.read_text()
    try:
        table.write_text(whole.replace("index", "number", 1))
        assert any("dseg.tsv" in issue for issue in issues_of(derived))
    finally:
        table.write_text(whole)


@pytest.mark.parametrize("path", SCANS)
def test_every_index_has_its_row_and_every_region_its_volume(derived, path):
    image = nib.load(derivative(derived, path, "dseg.nii.gz"))
    numbers = np.asanyarray(image.dataobj)
    mask = nib.load(derivative(derived, path, "mask.nii.gz"))
    assert np.issubdtype(image.get_data_dtype(), np.integer)
    np.testing.assert_array_equal(image.affine, mask.affine)
    np.testing.assert_array_equal(numbers > 0, np.asanyarray(mask.dataobj) > 0)
    rows = table_of(derivative(derived, path, "dseg.tsv"))
    assert [(row["index"], row["name"], row["within"]) for row in rows] == [
        ("0", "background", "n/a"),
        ("1", "tumour", "n/a"),
        ("2", "solid_part", "tumour"),
        ("3", "cyst", "solid_part"),
    ]
    assert len({row["color"] for row in rows}) == len(rows)
    assert set(np.unique(numbers)) <= {int(row["index"]) for row in rows}
    assert set(np.unique(numbers)) >= {1, 3}
    ml = abs(np.linalg.det(image.affine)) / 1000
    said = json.loads(derivative(derived, path, "dseg.json").read_text())
    for place, label in enumerate(said["plgg"]["labels"]):
        assert label["name"] == rows[label["number"]]["name"]
        volume = region(numbers, LABELS, place).sum() * ml
        assert label["volume_ml"] == pytest.approx(volume, rel=1e-4)
    assert said["SpatialReference"] == f"bids:raw:{path}"
    assert "For research use only" in said["Description"]


def test_the_group_table_says_what_the_volumes_of_labels_are(derived):
    rows = table_of(derived / "desc-plgg_measurements.tsv")
    meaning = json.loads((derived / "desc-plgg_measurements.json").read_text())
    assert meaning["cyst:value"]["Units"] == "mL"
    assert "label cyst of the mask" in meaning["cyst:value"]["Description"]
    for row, path in zip(rows, SCANS, strict=True):
        said = json.loads(derivative(derived, path, "dseg.json").read_text())
        assert float(row["cyst:value"]) == said["plgg"]["labels"][2]["volume_ml"]
