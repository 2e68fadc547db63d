"""A store as nnU-Net's data set: layout, geometry, splits; and nobody's folder is touched."""

import json

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, blob_brain
from plgg import api
from plgg.config import GridConfig, PreprocessConfig, preset
from plgg.core.errors import ConfigError, OutputError
from plgg.data.nnunet import NnunetExport
from plgg.data.split import make_split
from plgg.data.store import Store
from plgg.data.store_records import CaseRecord, Cohort
from plgg.data.store_writing import write_case as write_stored
from plgg.data.store_writing import write_cohort
from plgg.preprocess.pipeline import preprocess_scan, route_for
from program import one_line, plgg
from tiny import stored_case, tiny_store

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Scans P00 to P13, the first without a mask, P08 and P09 of one patient."""
    folder = tmp_path_factory.mktemp("tiny") / "store"
    made = tiny_store(folder, 14, no_mask=("P00",), shape=(20, 24, 16))
    cases = [
        case.model_copy(update={"patient_id": "P08"}) if case.case_id == "P09" else case
        for case in made.cohort.cases
    ]
    write_cohort(folder, made.cohort.model_copy(update={"cases": tuple(cases)}))
    return folder


def read(folder, name):
    return json.loads((folder / name).read_text("utf-8"))


def test_the_layout_is_nnunets_and_who_is_left_out_is_told(store, tmp_path):
    out = tmp_path / "raw"
    said = plgg("export", "nnunet", store, out, "--id", 501, "--name", "glioma", "--splits", 2).out
    data = out / "Dataset501_glioma"
    names = [f"P{number:02d}" for number in range(1, 14)]
    assert sorted(path.name for path in (data / "imagesTr").iterdir()) == [
        f"{name}_0000.nii.gz" for name in names
    ]
    assert sorted(path.name for path in (data / "labelsTr").iterdir()) == [
        f"{name}.nii.gz" for name in names
    ]
    assert "left out: P00" in said
    assert "nnUNetv2_plan_and_preprocess -d 501" in said
    dataset = read(data, "dataset.json")
    assert dataset["numTraining"] == 13
    assert dataset["channel_names"] == {"0": "FLAIR"}
    assert dataset["labels"] == {"background": 0, "tumour": 1}
    assert NnunetExport.model_validate(dataset["plgg"]).left_out == ("P00",)
    lines = (data / "cases.csv").read_text("utf-8").splitlines()
    assert lines[0] == "case_id,patient_id,marker,age_years,sex,site"
    assert len(lines) == 14
    again = out / "nnUNet_preprocessed" / "Dataset501_glioma" / "splits_final.json"
    assert again.read_bytes() == (data / "splits_final.json").read_bytes()


@pytest.mark.parametrize("options", [{"splits": 6}, {"folds": 3}])
def test_splits_are_plggs_and_no_patient_is_in_two_parts(store, tmp_path, options):
    made = api.export_nnunet(store, tmp_path / "raw", **options)
    found, tests = read(made.folder, "splits_final.json"), read(made.folder, "splits_test.json")
    cases = Store(store).cohort.cases
    patient_of = {case.case_id: case.patient_id for case in cases}
    known = {case.case_id for case in cases if case.has_mask}
    assert len(found) == len(tests) == made.splits
    for number, (split, test) in enumerate(zip(found, tests, strict=True)):
        parts = [split["train"], split["val"], test]
        patients = [{patient_of[name] for name in part} for part in parts]
        assert all(not a & b for a, b in zip(patients, [*patients[1:], patients[0]], strict=True))
        assert set().union(*parts) == known
        if "splits" in options:
            own = make_split(cases, k=number, seed=0)
            assert parts == [[n for n in own.part(p) if n in known] for p in PARTS]
    if "folds" in options:
        assert sorted(name for test in tests for name in test) == sorted(known)


def stored(folder, flair, mask, kind):
    """Five patients of one scan, prepared as preprocessing does; their placement and codes."""
    grid = GridConfig(kind=kind, spacing_mm=4.0)
    settings = PreprocessConfig(registration="centre", stripping="none")
    config = preset("small").model_copy(update={"grid": grid, "preprocess": settings})
    prepared = preprocess_scan(flair, mask, route_for(config)).prepared
    cases = [stored_case(f"P{n}", shape=prepared.image.shape) for n in range(5)]
    for case in cases:
        record = CaseRecord(
            case=case, spacing_mm=4.0, grid=kind, placement=prepared.placement, mask_sha256=None
        )
        write_stored(folder, record, image=prepared.image, mask=prepared.mask, truth=mask)
    write_cohort(folder, Cohort(spacing_mm=4.0, grid=kind, classes=("x",), cases=tuple(cases)))
    return prepared.placement, prepared.image


@pytest.mark.parametrize("grid", ["slices", "atlas"])
@pytest.mark.parametrize("affine", ["oblique-lps", "sagittal"])
def test_a_voxel_keeps_its_place_in_the_world(tmp_path, grid, affine):
    flair, mask = blob_brain(affine=ODD_AFFINES[affine])
    placement, codes = stored(tmp_path / "store", flair, mask, grid)
    made = api.export_nnunet(tmp_path / "store", tmp_path / "raw", splits=1)
    image = nib.load(made.folder / "imagesTr" / "P0_0000.nii.gz")
    label = nib.load(made.folder / "labelsTr" / "P0.nii.gz")
    np.testing.assert_array_equal(image.affine, label.affine)
    moved = np.eye(4) if grid == "slices" else np.array(placement.native_to_atlas)
    wanted = moved @ mask.affine @ [*np.argwhere(mask.data > 0).mean(axis=0), 1.0]
    found = label.affine @ [*np.argwhere(label.get_fdata() > 0).mean(axis=0), 1.0]
    np.testing.assert_allclose(found[:3], wanted[:3], atol=1.0)
    ml = abs(np.linalg.det(label.affine[:3, :3])) * (label.get_fdata() > 0).sum() / 1000
    assert ml == pytest.approx(24.4, rel=0.1)
    np.testing.assert_array_equal(np.asarray(image.dataobj), codes.astype(int) + 128)


def test_it_replaces_only_its_own(store, tmp_path):
    out = tmp_path / "raw"
    data = api.export_nnunet(store, out, splits=2).folder
    api.export_nnunet(store, out, splits=3)
    assert len(read(data, "splits_final.json")) == 3
    (data / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        api.export_nnunet(store, out)
    (data / "notes.txt").unlink()
    label = data / "labelsTr" / "P01.nii.gz"
    label.write_bytes(label.read_bytes() + b" ")
    with pytest.raises(OutputError, match="altered"):
        api.export_nnunet(store, out)
    other = out / "Dataset007_other"
    other.mkdir()
    (other / "dataset.json").write_text("{}")
    with pytest.raises(OutputError, match="did not write"):
        api.export_nnunet(store, out, number=7, name="other")
    assert (other / "dataset.json").read_text() == "{}"


def test_splits_that_nnunet_made_are_left_alone(store, tmp_path):
    splits = tmp_path / "nnUNet_preprocessed" / "Dataset500_plgg" / "splits_final.json"
    splits.parent.mkdir(parents=True)
    splits.write_text('[{"train": ["x"], "val": ["y"]}]')
    with pytest.raises(OutputError, match="splits that plgg did not write"):
        api.export_nnunet(store, tmp_path)
    assert "x" in splits.read_text()
    assert not (tmp_path / "Dataset500_plgg").exists()


def test_wrong_words_are_one_line(store, tmp_path):
    out = tmp_path / "raw"
    told = one_line(plgg("export", "nnunet", store, out, "--name", "../up", status=2))
    assert "cannot name a data set" in told
    assert "1 to 999" in one_line(plgg("export", "nnunet", store, out, "--id", 1000, status=2))
    assert "not a store" in one_line(plgg("export", "nnunet", tmp_path, out, status=2))
    assert "--folds" in plgg("export", "nnunet", "--help").out
    assert "--format" in plgg("export", "--help").out
    assert "holds no checkpoint" in one_line(plgg("export", tmp_path, "--format", "onnx", status=2))
    assert not out.exists()


def test_a_store_without_masks_cannot_be_learned_from(tmp_path):
    made = tiny_store(tmp_path / "store", 5, no_mask=[f"P{n:02d}" for n in range(5)])
    with pytest.raises(ConfigError, match="no case"):
        api.export_nnunet(made.folder, tmp_path / "raw")
