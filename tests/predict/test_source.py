"""What can be predicted: stores, manifests and single files, by name and once each."""

import hashlib

import numpy as np
import pytest

from dicom_series import write_series
from helper import write_case, write_csv
from plgg.config import Config, GridConfig, PreprocessConfig
from plgg.core.errors import InputError, ManifestError
from plgg.data.manifest import read_manifest
from plgg.data.scan import read_scan
from plgg.data.store import Store
from plgg.predict.source import find_scans
from plgg.preprocess.cohort import preprocess_cohort

# Toys without anatomy are placed by their centres.
CONFIG = Config(
    grid=GridConfig(spacing_mm=8.0),
    preprocess=PreprocessConfig(registration="centre", stripping="none"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A manifest of two scans of one patient, their files and the store made from them."""
    folder = tmp_path_factory.mktemp("cohort")
    for name in ("one", "two"):
        write_case(folder, name, seed=len(name))
    rows = [f"P1,{name}_flair.nii.gz,{name}_mask.nii.gz,{name}" for name in ("one", "two")]
    manifest = write_csv(folder / "manifest.csv", "patient_id,flair,mask,scan_id", *rows)
    preprocess_cohort(read_manifest(manifest), folder / "store", CONFIG)
    return folder


@pytest.mark.parametrize("said", [{"age_years": 5.0}, {"sex": "F"}, {"others": {"t1": "t1.nii"}}])
def test_what_is_said_of_one_patient_is_not_said_of_several(folder, said):
    files = [folder / "one_flair.nii.gz", folder / "two_flair.nii.gz"]
    for inputs in (files, [folder / "manifest.csv"], [folder / "store"]):
        with pytest.raises(InputError, match=f"{next(iter(said))[:2]}.* goes with one scan"):
            find_scans(inputs, **said)
    (scan,) = find_scans(files[:1], **said)
    assert scan.case_id == "one_flair"


def trained_on(folder):
    """The settings of a model that was trained on the store."""
    return CONFIG.model_copy(update={"preprocess": Store(folder / "store").cohort.settings})


def names(scans):
    return [scan.case_id for scan in scans]


def test_the_three_kinds_of_input(folder):
    assert names(find_scans([folder / "store"])) == ["P1_one", "P1_two"]
    assert names(find_scans([folder / "manifest.csv"])) == ["P1_one", "P1_two"]
    files = [folder / "one_flair.nii.gz", folder / "two_flair.nii.gz"]
    assert names(find_scans(files)) == ["one_flair", "two_flair"]


def test_all_ways_give_one_scan(folder):
    stored = find_scans([folder / "store"])[0]
    listed = find_scans([folder / "manifest.csv"])[0]
    (single,) = find_scans([folder / "one_flair.nii.gz"])
    digest = hashlib.sha256((folder / "one_flair.nii.gz").read_bytes()).hexdigest()
    prepared = stored.load(trained_on(folder)).prepared
    for scan in (listed, single):
        other = scan.load(trained_on(folder)).prepared
        np.testing.assert_array_equal(other.image, prepared.image)
        assert other.placement == prepared.placement
    for scan in (stored, listed, single):
        assert scan.digest(trained_on(folder)) == digest
        assert scan.path.resolve() == (folder / "one_flair.nii.gz").resolve()
    assert (stored.patient_id, listed.patient_id, single.patient_id) == ("P1", "P1", None)


def test_a_dicom_folder_is_a_scan(folder, tmp_path):
    flair = read_scan(folder / "one_flair.nii.gz")
    write_series(tmp_path / "study", flair)
    (scan,) = find_scans([tmp_path / "study"])
    assert (scan.case_id, scan.patient_id) == ("study", None)
    (nifti,) = find_scans([folder / "one_flair.nii.gz"])
    ours, theirs = (s.load(trained_on(folder)).prepared for s in (scan, nifti))
    assert ours.image.shape == theirs.image.shape
    # Stored as 16-bit codes, so not to the last digit.
    assert np.abs(ours.image.astype(int) - theirs.image).max() <= 1


def test_a_series_that_its_headers_call_a_t1_is_predicted_with_that_doubt(folder, tmp_path):
    flair = read_scan(folder / "one_flair.nii.gz")
    write_series(tmp_path / "study", flair, description="T1 ax", echo_ms=9.0, inversion_ms=None)
    (scan,) = find_scans([tmp_path / "study"])
    (doubt,) = scan.load(trained_on(folder)).doubts
    assert doubt.startswith("by its headers it is T1-like, not a FLAIR")


def test_the_truth_is_not_looked_at(folder, tmp_path):
    """A mask that is broken or missing does not keep its scan from being predicted."""
    flair = folder / "one_flair.nii.gz"
    manifest = write_csv(tmp_path / "m.csv", "patient_id,flair,mask", f"P1,{flair},none.nii.gz")
    (scan,) = find_scans([manifest])
    assert scan.load(CONFIG).prepared.mask is None


def test_only_the_cases_asked_for(folder):
    assert names(find_scans([folder / "store"], only=["P1_two"])) == ["P1_two"]
    assert find_scans([folder / "store"], only=[]) == []


def test_a_store_of_another_spacing_is_refused(folder):
    scan = find_scans([folder / "store"])[0]
    with pytest.raises(InputError, match="8 mm voxels, the model wants 2 mm"):
        scan.load(trained_on(folder).model_copy(update={"grid": GridConfig(spacing_mm=2.0)}))


def test_a_store_made_in_another_way_is_refused(folder):
    scan = find_scans([folder / "store"])[0]
    with pytest.raises(InputError, match="stripped or registered in another way"):
        scan.load(CONFIG.model_copy(update={"preprocess": PreprocessConfig()}))


def test_another_atlas_than_the_model_s_is_refused(folder):
    (scan,) = find_scans([folder / "one_flair.nii.gz"])
    other = CONFIG.preprocess.model_copy(update={"atlas_sha256": "0" * 64})
    with pytest.raises(InputError, match=r"not the atlas .* --atlas"):
        scan.load(CONFIG.model_copy(update={"preprocess": other}))


def test_one_name_for_two_scans_is_refused(folder):
    with pytest.raises(InputError, match="two scans are called 'P1_one'"):
        find_scans([folder / "store", folder / "manifest.csv"])


def test_a_missing_scan_is_told_when_it_is_needed(tmp_path):
    (scan,) = find_scans([tmp_path / "none.nii.gz"])
    for need in (scan.digest, scan.load):
        with pytest.raises(InputError, match=r"none\.nii\.gz: no such file"):
            need(CONFIG)


def test_what_is_none_of_these_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    remedies = {"notes.txt": "Name one", ".": "Name"}
    remedies |= dict.fromkeys(("none", "loop", "x" * 5000, "x" * 5000 + ".zip"), "nothing is there")
    for name, remedy in remedies.items():
        with pytest.raises(InputError, match=f"is not a store.*{remedy}"):
            find_scans([tmp_path / name])
    with pytest.raises(ManifestError, match="no such file"):
        find_scans([tmp_path / "none.csv"])


def test_what_is_no_scan_keeps_no_other_from_being_predicted(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    good, bad = find_scans([folder / "one_flair.nii.gz", tmp_path / "empty"])
    assert good.load(trained_on(folder)).prepared
    for need in (bad.digest, lambda: bad.load(CONFIG)):
        with pytest.raises(InputError, match="empty: is not a store"):
            need()
