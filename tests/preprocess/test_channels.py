"""Several sequences of one patient: registered to each other, stored as channels, learnt from."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import generate_uid
from scipy import ndimage

from dicom_series import write_series
from plgg.config import preset, with_settings
from plgg.core.errors import ManifestError
from plgg.core.volume import Volume, apply_affine, inverse
from plgg.data.dicom.series import available_sequences
from plgg.data.inputs import Inputs
from plgg.data.manifest import Case, read_manifest, write_manifest
from plgg.data.nifti.image import read_volume, write_volume
from plgg.data.scan import open_scan
from plgg.data.store import Store, read_record
from plgg.data.store_arrays import OUTSIDE
from plgg.phantom.cohort import make_cohort
from plgg.phantom.patient import make_scan, movement
from plgg.phantom.settings import phantom_settings
from plgg.predict.source import find_scans
from plgg.preprocess.brain_extraction import find_brain
from plgg.preprocess.cohort import preprocess_cohort
from plgg.preprocess.coregistration import coregister
from plgg.train.patches import cut_patch, sample_plan
from program import plgg
from runs import SHALLOW

SETTINGS = phantom_settings(n_patients=7, spacing_mm=2.0, sequences=("flair", "t2"))
TINY = ("grid.spacing_mm=8", "preprocess.registration=centre", "preprocess.stripping=none")
# From what a sequence's header says to where it lies: an oblique scan with other axes.
ODD = np.array([[0.0, -0.9, 0.1, 30.0], [1.0, 0.0, 0.0, -12.0], [0.0, 0.0, 1.0, 9.0], [0, 0, 0, 1]])


def config(*settings):
    return with_settings(preset("small"), [*TINY, *settings])


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """Manifest of synthetic patients with FLAIR and T2, the last of whom have one of them alone."""
    folder = tmp_path_factory.mktemp("patients")
    make_cohort(folder, SETTINGS)
    cases = read_manifest(folder / "manifest.csv")
    no_t2 = replace(cases[5], others={})
    t2_alone = replace(cases[6], flair=None, mask=None)
    write_manifest(folder / "manifest.csv", [*cases[:5], no_t2, t2_alone], scan_ids={})
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def store(patients, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    preprocess_cohort(read_manifest(patients), folder, config('channels=["flair","t2"]'))
    return Store(folder)


def distance_mm(a, b, points):
    return float(np.linalg.norm(apply_affine(a, points) - apply_affine(b, points), axis=1).mean())


@pytest.mark.parametrize("turn", [np.eye(4), ODD], ids=["straight", "odd"])
def test_a_movement_between_two_sequences_is_found_to_a_third_of_a_millimetre(turn):
    flair, _ = make_scan(SETTINGS, 0, "other", scan=0)
    t2, _ = make_scan(SETTINGS, 0, "other", scan=0, sequence="t2")
    rigid = turn.copy()
    rigid[:3, :3] = np.linalg.qr(turn[:3, :3])[0] @ np.diag(
        np.sign(np.diag(np.linalg.qr(turn[:3, :3])[1]))
    )
    flair, t2 = (Volume(scan.data, rigid @ scan.affine) for scan in (flair, t2))
    found = coregister(flair, flair.data > 0, t2, title="T2")
    true = rigid @ movement(SETTINGS, 0, scan=0, sequence="t2") @ inverse(rigid)
    points = apply_affine(flair.affine, np.argwhere(flair.data > 0)[::97])
    assert found.verdict.status == "good"
    assert distance_mm(found.reference_from_other, true, points) < 0.34
    assert distance_mm(np.eye(4), true, points) > 1.0


def test_another_head_is_no_sequence_of_this_one():
    flair, _ = make_scan(SETTINGS, 0, "other", scan=0)
    t2, _ = make_scan(SETTINGS, 3, "other", scan=0, sequence="t2")
    own, _ = make_scan(SETTINGS, 0, "other", scan=0, sequence="t2")
    brain = flair.data > 0
    other = coregister(flair, brain, t2, title="T2").verdict.value
    assert other < coregister(flair, brain, own, title="T2").verdict.value
    noise = np.random.default_rng(0).integers(1, 1000, flair.shape)
    assert coregister(flair, brain, flair.with_data(noise), title="T2").verdict.status == "failed"


def test_the_store_holds_what_each_patient_has(store):
    assert store.cohort.channels == ("flair", "t2")
    both, flair_alone, t2_alone = (store.cohort.cases[n] for n in (0, 5, 6))
    assert both.channels == ("flair", "t2")
    assert (flair_alone.channels, t2_alone.channels) == (("flair",), ("t2",))
    assert t2_alone.reference == "t2"
    for case in store.cohort.cases:
        codes = store.channels(case.case_id, ("t2", "flair", "t1"))
        assert codes.shape == (3, *case.shape)
        there = [bool((plane != OUTSIDE).any()) for plane in codes]
        assert there == ["t2" in case.channels, "flair" in case.channels, False]


def test_channels_of_a_patch_are_those_of_the_store(store):
    case = store.cohort.cases[0]
    box = (slice(2, 9), slice(1, 8), slice(3, 7))
    whole = store.channels(case.case_id, ("flair", "t2"))
    np.testing.assert_array_equal(
        store.channels(case.case_id, ("flair", "t2"), box), whole[:, *box]
    )
    np.testing.assert_array_equal(store.image(case.case_id), whole[0])


def test_a_moved_copy_of_the_reference_becomes_the_same_channel(patients, tmp_path):
    """All the way through header, co-registration and resampling; one rounding is left."""
    case = read_manifest(patients)[0]
    flair = read_volume(case.flair)
    there = inverse(movement(SETTINGS, 0, scan=0, sequence="t2"))
    write_volume(tmp_path / "copy.nii.gz", Volume(flair.data, there @ flair.affine))
    copied = replace(case, others={"t2": tmp_path / "copy.nii.gz"})
    settings = config("channels=[flair,t2]", "grid.spacing_mm=4")
    preprocess_cohort([copied], tmp_path / "store", settings)
    one, other = Store(tmp_path / "store").channels(case.case_id, ("flair", "t2"))
    inner = ndimage.binary_erosion(one != OUTSIDE, iterations=2)
    assert np.corrcoef(one[inner], other[inner])[0, 1] > 0.995


def test_a_store_that_lacks_a_sequence_is_told_before_training(store, tmp_path):
    told = plgg("train", store.folder, "--run", tmp_path, "--set", "channels=[flair,t1]", "--set",
                "grid.spacing_mm=8", status=2).err  # fmt: skip
    assert "holds flair, t2, and not t1" in told


def test_a_rerun_keeps_and_another_choice_of_channels_makes_anew(patients, tmp_path):
    cases = read_manifest(patients)[:2]
    settings = config('channels=["flair","t2"]')
    preprocess_cohort(cases, tmp_path, settings)
    record = tmp_path / "cases" / "phantom-001" / "case.json"
    before = record.stat().st_mtime_ns
    preprocess_cohort(cases, tmp_path, settings)
    assert record.stat().st_mtime_ns == before
    preprocess_cohort(cases, tmp_path, config())
    assert record.stat().st_mtime_ns != before
    assert read_record(tmp_path, "phantom-001").case.channels == ("flair",)


def test_a_patient_without_any_wanted_sequence_is_named(patients, tmp_path):
    cases = [replace(case, mask=None) for case in read_manifest(patients)]
    cohort = preprocess_cohort(cases, tmp_path, config('channels=["t2"]'))
    assert {case.reference for case in cohort.cases} == {"t2"}
    (failed,) = cohort.failed
    assert failed.case_id == "phantom-006"
    assert "has none of the sequences t2" in failed.reason


def test_dropout_leaves_one_channel_and_is_drawn_as_often_as_asked(store):
    settings = config("patches.channels_dropout=0.5", "patches.size=[16,16,16]").patches
    rng, case = np.random.default_rng(0), store.cohort.cases[0].case_id
    plans = [sample_plan(store, case, settings, rng, Inputs(("flair", "t2"))) for _ in range(400)]
    assert max(len(plan.dropped) for plan in plans) == 1
    # Of two, the one that may go does so every other time.
    assert 0.4 < np.mean([len(plan.dropped) for plan in plans]) < 0.6
    plan = next(plan for plan in plans if plan.dropped == ("t2",))
    image = cut_patch(store, plan).image
    assert image[0].any()
    assert not image[1].any()
    single = sample_plan(store, "phantom-006", settings, rng, Inputs(("flair", "t2")))
    assert single.dropped == ()


def test_a_network_of_two_sequences_predicts_with_one_of_them_missing(patients, store, tmp_path):
    images = patients.parent / "images"
    small = ("model.init_filters=8", *SHALLOW, "patches.channels_dropout=0.3")
    sets = [word for one in (*TINY, *small, "channels=[flair,t2]") for word in ("--set", one)]
    plgg(
        "train",
        store.folder,
        "--run",
        tmp_path / "run",
        "--preset",
        "small",
        "--epochs",
        "1",
        *sets,
    )
    scan = images / "phantom-001_flair.nii.gz"
    words = ("predict", scan, "--model", tmp_path / "run", "--no-report", "--out")
    plgg(*words, tmp_path / "both", "--t2", images / "phantom-001_t2.nii.gz")
    plgg(*words, tmp_path / "one")
    cases = read_manifest(patients)
    write_manifest(tmp_path / "three.csv", [cases[0], *cases[5:]], scan_ids={})
    listed = ("predict", tmp_path / "three.csv", "--model", tmp_path / "run", "--no-report")
    plgg(*listed, "--out", tmp_path / "all")
    found = {
        path.parent.name: json.loads(path.read_text())["input"]["sequences"]
        for path in tmp_path.glob("all/*/result.json")
    }
    assert found["phantom-001"] == ["flair", "t2"]
    assert (found["phantom-006"], found["phantom-007"]) == (["flair"], ["t2"])
    both, one, all_ = (
        np.asarray(nib.load(path / "probability.nii.gz").dataobj)
        for path in (
            tmp_path / "both" / "phantom-001_flair",
            tmp_path / "one" / "phantom-001_flair",
            tmp_path / "all" / "phantom-001",
        )
    )
    np.testing.assert_allclose(both, all_, atol=1e-6)
    assert not np.array_equal(both, one)
    mask = nib.load(tmp_path / "all" / "phantom-007" / "mask.nii.gz")
    t2 = nib.load(images / "phantom-007_t2.nii.gz")
    np.testing.assert_allclose(mask.affine, t2.affine, atol=1e-5)
    assert mask.shape == t2.shape
    refused = plgg("predict", patients, "--t2", scan, "--model", tmp_path / "run", "--out",
                   tmp_path / "no", status=2)  # fmt: skip
    assert "one scan named by itself" in refused.err


def test_no_sequence_at_all_is_one_line(tmp_path):
    (tmp_path / "manifest.csv").write_text("patient_id,t1,t2\nP1,,\n")
    with pytest.raises(ManifestError, match="flair is blank"):
        read_manifest(tmp_path / "manifest.csv")


@pytest.mark.real
@pytest.mark.parametrize("name", ["T1W", "T2W"])
def test_real_raw_heads_are_registered_within_a_millimetre_of_their_owners(shared_data, name):
    folder = shared_data / "multi-sequence" / "open-ms-patient01"
    flair, other = (read_volume(folder / f"{n}.nii.gz") for n in ("FLAIR", name))
    brain = find_brain(flair).brain
    found = coregister(flair, brain, other, title=name)
    lines = (folder / f"{name}_to_FLAIR.txt").read_text().splitlines()
    numbers, centre = (np.array(lines[n].split(":")[1].split(), dtype=float) for n in (3, 4))
    itk = np.eye(4)
    itk[:3, :3] = numbers[:9].reshape(3, 3)
    itk[:3, 3] = centre + numbers[9:] - itk[:3, :3] @ centre
    lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    points = apply_affine(flair.affine, np.argwhere(brain)[::500])
    assert found.verdict.status == "good"
    assert distance_mm(inverse(found.reference_from_other), lps @ itk @ lps, points) < 1.0


@pytest.mark.real
def test_four_real_sequences_that_were_registered_before_stay_as_they_lie(shared_data, tmp_path):
    folder = shared_data / "multi-sequence" / "upenn-gbm-00001"
    others = {"t1": "t1n", "t1c": "t1c", "t2": "t2w"}
    case = Case(
        "P1", "P1", folder / "t2f.nii.gz",
        others={column: folder / f"{name}.nii.gz" for column, name in others.items()},
    )  # fmt: skip
    channels = "channels=[flair,t1,t1c,t2]"
    preprocess_cohort([case], tmp_path, with_settings(preset("small"), [channels]))
    record = read_record(tmp_path, "P1")
    assert record.case.channels == ("flair", "t1", "t1c", "t2")
    for matrix in record.reference_from.values():
        np.testing.assert_array_equal(matrix, np.eye(4))
    verdicts = [v for v in record.quality.verdicts if v.gate == "coregistration"]
    assert [v.status for v in verdicts] == ["good"] * 3


def test_the_series_of_a_study_are_chosen_by_their_headers(tmp_path):
    flair, _ = make_scan(SETTINGS, 0, "other", scan=0)
    t2, _ = make_scan(SETTINGS, 0, "other", scan=0, sequence="t2")
    study = generate_uid()
    times = {"flair": (120.0, 2500.0, 5), "t2": (100.0, None, 6)}
    for name, scan, words in (("flair", flair, "T2 FLAIR ax"), ("t2", t2, "T2 TSE ax")):
        echo, inversion, number = times[name]
        write_series(tmp_path / "study" / name, scan, description=words, number=number,
                     echo_ms=echo, inversion_ms=inversion,
                     tags={"StudyInstanceUID": study, "PatientID": "X"})  # fmt: skip
    for name, scan in (("flair", flair), ("t2", t2)):
        assert name in available_sequences(tmp_path / "study")
        read = open_scan(tmp_path / "study", name).volume
        np.testing.assert_array_equal(np.sort(read.data, axis=None), np.sort(scan.data, axis=None))
    assert "t1" not in available_sequences(tmp_path / "study")
    (found,) = find_scans([tmp_path / "study"])
    two = config("channels=[flair,t2,t1]", "grid.spacing_mm=4")
    loaded = found.load(two)
    assert loaded.sequences == ("flair", "t2")
    assert not (loaded.image[2] != OUTSIDE).any()
    alone = found.load(config("channels=[t2]", "grid.spacing_mm=4"))
    assert alone.sequences == ("t2",)
    assert found.digest(two) != found.digest(config("channels=[t2]"))
