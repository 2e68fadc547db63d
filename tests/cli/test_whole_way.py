"""The whole way through the real program: patients, store, two arms, predictions, a report."""

import csv
import json
import shutil
from collections import Counter

import nibabel as nib
import numpy as np
import pytest

from program import one_line, plgg

SPACING = ("--set", "grid.spacing_mm=4")
# Phantoms lie in the atlas' space; a slow test registers them nevertheless.
CENTRED = ("--set", "preprocess.registration=centre")
# The preset `small`, coarse, shallow and short enough for a test.
QUICK = [
    *SPACING,
    "--set", "patches.size=[24,24,24]",
    "--set", "model.init_filters=8",
    "--set", "model.blocks_down=[1,1,1]",
    "--set", "model.blocks_up=[1,1]",
    "--set", "validate_every=1",
    "--epochs", "1",
]  # fmt: skip
N_PATIENTS = 5


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("whole way")


@pytest.fixture(scope="module")
def manifest(place):
    chosen = ("--seed", 3, "--second-scans", 0.2, "--spacing-mm", 4)
    plgg("phantom", place / "patients", "--patients", N_PATIENTS, *chosen)
    return place / "patients" / "manifest.csv"


@pytest.fixture(scope="module")
def store(manifest, place):
    plgg("preprocess", manifest, place / "store", *SPACING, *CENTRED, "--workers", 1)
    return place / "store"


@pytest.fixture(scope="module")
def experiment(store, place):
    plgg("experiment", store, "--out", place / "experiment", "--splits", 1, *QUICK, *CENTRED)
    return place / "experiment"


def test_check_finds_the_cohort_sound(manifest):
    assert plgg("check", manifest, "--json").json()["n_errors"] == 0
    assert "0 errors" in plgg("check", manifest).out


def test_store_has_a_picture_of_every_case(manifest, store):
    with manifest.open() as handle:
        n_scans = len(list(csv.DictReader(handle)))
    assert n_scans > N_PATIENTS
    assert len(list((store / "qc").glob("*.png"))) == n_scans
    assert len(json.loads((store / "cohort.json").read_text())["cases"]) == n_scans


def test_experiment_leaves_tables_runs_and_a_page(experiment):
    for name in ("table1.md", "table1.csv", "comparison.json", "report.html"):
        assert (experiment / name).stat().st_size
    for arm in ("single", "multitask"):
        run = experiment / "split-0" / arm
        assert json.loads((run / "config.json").read_text())["arm"] == arm
        assert (run / "metrics.jsonl").read_text().count("\n") == 1
    splits = [
        json.loads((experiment / "split-0" / arm / "split.json").read_text())
        for arm in ("single", "multitask")
    ]
    assert splits[0] == splits[1]


def test_experiment_again_changes_no_run(store, experiment):
    kept = sorted(experiment.glob("split-0/*/checkpoints/*"))
    times = [path.stat().st_mtime_ns for path in kept]
    plgg("experiment", store, "--out", experiment, "--splits", 1, *QUICK, *CENTRED)
    assert sorted(experiment.glob("split-0/*/checkpoints/*")) == kept
    assert [path.stat().st_mtime_ns for path in kept] == times


@pytest.fixture(scope="module")
def run(store, place):
    words = ("--preset", "small", "--arm", "single", *QUICK, *CENTRED)
    plgg("train", store, "--run", place / "run", *words)
    return place / "run"


def test_train_alone_gives_the_experiments_numbers(run, experiment):
    def losses(run):
        return json.loads((run / "metrics.jsonl").read_text())["train"]

    assert losses(run) == losses(experiment / "split-0" / "single")


@pytest.fixture(scope="module")
def two_patients(manifest):
    """A manifest of two of the patients, one of whom was scanned twice."""
    with manifest.open() as handle:
        rows = list(csv.DictReader(handle))
    scans = Counter(row["patient_id"] for row in rows)
    kept = {min(scans, key=scans.get), max(scans, key=scans.get)}
    part = manifest.with_name("two.csv")
    with part.open("w", newline="") as handle:
        written = csv.DictWriter(handle, rows[0])
        written.writeheader()
        written.writerows(row for row in rows if row["patient_id"] in kept)
    return part


def test_predict_and_evaluate_a_manifest_on_its_own_grid(two_patients, experiment, place):
    manifest, out = two_patients, place / "predictions"
    model = experiment / "split-0" / "multitask"
    command = ["predict", manifest, "--model", model, "--out", out, "--no-report", "--json"]
    results = plgg(*command).json()
    assert len(results) == 3
    for case_id, result in results.items():
        scan = nib.load(manifest.parent / "images" / f"{case_id}_flair.nii.gz")
        mask = nib.load(out / case_id / "mask.nii.gz")
        probability = nib.load(out / case_id / "probability.nii.gz")
        assert mask.shape == probability.shape == scan.shape
        np.testing.assert_array_equal(mask.affine, scan.affine)
        np.testing.assert_array_equal(probability.affine, scan.affine)
        assert sum(result["marker"]["probabilities"].values()) == pytest.approx(1)
        voxels = int(np.asarray(mask.dataobj).sum())
        voxel_ml = np.prod(scan.header.get_zooms()) / 1000
        assert result["volume_ml"] == pytest.approx(voxels * voxel_ml, abs=1e-3)
    summary = plgg("evaluate", out, manifest, "--json").json()
    assert summary["n_patients"] == 2
    assert (out / "evaluation" / "cases.csv").is_file()


def test_predict_one_scan_and_a_part_of_a_store(manifest, store, experiment, place):
    model = experiment / "split-0" / "multitask"
    scan = next((manifest.parent / "images").glob("*_flair.nii.gz"))
    plgg("predict", scan, "--model", model, "--out", place / "one")
    assert len(list((place / "one").glob("*/result.json"))) == 1
    plgg("predict", store, "--model", model, "--out", place / "part", "--part", "test")
    test = json.loads((model / "split.json").read_text())["test"]
    assert {path.parent.name for path in (place / "part").glob("*/result.json")} == set(test)


def test_missing_predictions_are_named(manifest, experiment, place):
    test = experiment / "split-0" / "single" / "predictions" / "test"
    done = plgg("evaluate", test, manifest, "--out", place / "partly", status=1)
    assert "has no prediction" in done.err
    plgg("evaluate", test, manifest, "--out", place / "partly", "--partial")


def test_compare_two_arms(experiment):
    arms = [experiment / "split-0" / arm for arm in ("single", "multitask")]
    found = plgg("compare", *arms, "--json").json()
    assert found["contrasts"][0]["metric"] == "dice"
    assert plgg("compare", *arms).out.strip()


@pytest.mark.slow
def test_the_way_over_a_real_registration(manifest, two_patients, tmp_path):
    store, run, out = (tmp_path / name for name in ("store", "run", "predictions"))
    plgg("preprocess", manifest, store, *SPACING, "--workers", 1)
    records = [json.loads(path.read_text()) for path in store.glob("cases/*/case.json")]
    assert len(records) > N_PATIENTS
    for record in records:
        assert any(attempt["accepted"] for attempt in record["quality"]["attempts"])
    plgg("train", store, "--run", run, "--preset", "small", *QUICK)
    plgg("predict", two_patients, "--model", run, "--out", out, "--no-report")
    assert plgg("evaluate", out, two_patients, "--json").json()["n_patients"] == 2


@pytest.mark.slow
def test_a_broken_scan_does_not_stop_the_others(manifest, experiment, place):
    scans = sorted((manifest.parent / "images").glob("*_flair.nii.gz"))[:2]
    broken = place / "broken.nii.gz"
    broken.write_bytes(scans[0].read_bytes()[:5000])
    model = experiment / "split-0" / "single"
    done = plgg(
        "predict", scans[0], broken, scans[1], "--model", model, "--out", place / "some", status=1
    )
    assert "broken" in one_line(done)
    assert len(list((place / "some").glob("*/mask.nii.gz"))) == 2
    assert not (place / "some" / "broken").exists()


def test_an_altered_checkpoint_is_refused(store, run, place, tmp_path):
    altered = shutil.copytree(run, tmp_path / "altered")
    weights = next((altered / "checkpoints").glob("best-*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    done = plgg("predict", store, "--model", altered, "--out", place / "never", status=2)
    assert "SHA-256" in one_line(done)
    assert not (place / "never").exists()
