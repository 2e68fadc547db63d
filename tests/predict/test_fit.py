import json
from dataclasses import replace

import numpy as np
import pytest

from plgg.config import InferenceConfig
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.calibration import TrainingDistribution, read_calibration, write_calibration
from plgg.data.manifest import Case
from plgg.data.nifti.image import write_probability, write_volume
from plgg.data.result import Input, Marker, Result, Uncertainty
from plgg.measure.clinical import clinical_inputs, clinical_probabilities
from plgg.predict.calibrate.clinical import fit_clinical_of
from plgg.predict.calibrate.fit import fit_calibration
from plgg.predict.calibrate.radiomics import fit_forest_of, stored_features
from plgg.predict.marker import MarkerModels
from tiny import CLASSES, tiny_store

SETTINGS = InferenceConfig()
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
FAMILIARITY = TrainingDistribution(references=((0.0, 1.0),), doubtful_above=1.0, failed_above=2.0)


def result(name, chances):
    marker = chances is not None and Marker(
        classes=CLASSES,
        probabilities=dict(zip(CLASSES, chances, strict=True)),
        predicted=CLASSES[int(np.argmax(chances))],
        calibrated=False,
        withheld=True,
        statement="Withheld.",
    )
    return Result(
        case_id=name,
        patient_id=name,
        input=Input(path="x", kind="nifti", sha256="0"),
        volume_ml=0.0,
        volume_interval=None,
        components=(),
        diameters=None,
        uncertainty=Uncertainty(expected_dice=None, n_views=1, agreement=None),
        change=None,
        marker=marker or None,
        familiarity=None,
        quality=None,
        threshold=0.5,
        smallest_ml=0.0,
        models=(),
        engine="none",
        inference=SETTINGS,
        versions={},
        seconds={},
        warnings=(),
    )


def predicted(folder, n, *, arm="multitask"):
    """Raw predictions of `n` patients whose masks are right from 0.3 on, and the patients."""
    rng = np.random.default_rng(0)
    cases = []
    for index in range(n):
        name, label = f"V{index:02d}", index % len(CLASSES)
        truth = np.zeros((12, 12, 10), dtype=bool)
        truth[3:9, 3 : 8 + index % 3, 2:8] = True
        probability = np.where(truth, rng.uniform(0.32, 0.9, truth.shape), 0.1)
        chances = rng.dirichlet(1 + 3 * np.eye(len(CLASSES))[label])
        write_probability(folder / name / "probability.nii.gz", Volume(probability, AFFINE))
        write_volume(folder / f"{name}_mask.nii.gz", Volume(truth, AFFINE))
        record = result(name, chances if arm == "multitask" else None).model_dump(mode="json")
        (folder / name / "result.json").write_text(json.dumps(record))
        cases.append(Case(name, name, folder / "x", folder / f"{name}_mask.nii.gz", CLASSES[label]))
    return cases


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), n=14, no_mask=("P02",), no_marker=("P03",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predictions")


@pytest.fixture(scope="module")
def cases(folder):
    return predicted(folder, 12)


def fit(folder, cases, store, **changes):
    options = {
        "settings": SETTINGS,
        "model_sha256": "f" * 64,
        "classes": CLASSES,
        "familiarity": FAMILIARITY,
    }
    names, classes = list(store.by_id), (options | changes)["classes"]
    true = {name: stored_features(store, name, "flair") for name in names}
    models = MarkerModels(
        fit_clinical_of(store, names, classes), fit_forest_of(store, true, {}, names, classes)
    )
    by_case = dict.fromkeys([case.case_id for case in cases], models)
    return fit_calibration(folder, cases, by_case, **options | changes)


def test_all_of_it_is_fitted_and_read_back(folder, cases, store, tmp_path):
    told = []
    found = fit(folder, cases, store, progress=lambda done, total: told.append((done, total)))
    # 0.3 would be right as well, and has a number that suits these patients.
    assert (found.mask.threshold, found.mask.n) == ("expected-dice", 12)
    assert found.mask.dice == 1.0 > found.mask.plain_dice
    assert (found.volume.log_ratio, found.volume.n) == (0.0, 12)
    assert found.marker.n == 12
    assert found.marker.target_risk == SETTINGS.target_risk
    # P03 has no marker; P02 neither mask nor age nor sex: nothing to learn from.
    assert (found.clinical.classes, found.clinical.n) == (CLASSES, 12)
    assert (found.model_sha256, found.familiarity) == ("f" * 64, FAMILIARITY)
    assert told == [(n, 12) for n in range(1, 13)]
    write_calibration(tmp_path, found)
    assert read_calibration(tmp_path) == found


def test_the_same_inputs_give_the_same_file(folder, cases, store, tmp_path):
    for name in ("one", "two"):
        write_calibration(tmp_path / name, fit(folder, cases, store))
    files = [(tmp_path / name / "calibration.json").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_without_any_truth_the_rule_is_plain_and_the_rest_unknown(folder, cases, store):
    blank = [replace(case, mask=None, marker=None) for case in cases]
    found = fit(folder, blank, store, classes=("x", "y"))
    rule = found.mask
    assert (rule.threshold, rule.smallest_ml, rule.n, rule.dice) == (0.5, 0.0, 0, None)
    assert found.volume is found.marker is found.clinical is None


def test_masks_and_markers_teach_apart(folder, cases, store):
    no_masks = fit(folder, [replace(case, mask=None) for case in cases], store)
    assert (no_masks.mask.n, no_masks.volume) == (0, None)
    assert no_masks.marker.n == 12
    no_markers = fit(folder, [replace(case, marker=None) for case in cases], store)
    assert no_markers.marker is None
    assert no_markers.mask.n == 12


def test_the_single_arm_learns_no_marker_rule(store, tmp_path):
    found = fit(tmp_path, predicted(tmp_path, 6, arm="single"), store)
    assert found.marker is None
    assert found.mask.threshold == "expected-dice"


def test_the_baseline_is_fitted_on_the_training_scans_masks(folder, cases, store):
    model = fit(folder, cases, store).clinical
    affine = np.array(store.placement("P00").box_affine)
    inputs = clinical_inputs(store.mask("P00"), affine, age_years=None, sex=None)
    assert np.isfinite(inputs[2:]).all()
    assert sum(clinical_probabilities(model, inputs).values()) == pytest.approx(1)


@pytest.mark.parametrize("lost", ["result.json", "probability.nii.gz"])
def test_a_prediction_that_is_not_there_is_named(store, tmp_path, lost):
    cases = predicted(tmp_path, 2)
    (tmp_path / "V01" / lost).unlink()
    with pytest.raises(InputError, match="V01"):
        fit(tmp_path, cases, store)


def test_a_mask_on_another_grid_is_refused(store, tmp_path):
    cases = predicted(tmp_path, 1)
    write_volume(cases[0].mask, Volume(np.zeros((12, 12, 9), dtype=bool), AFFINE))
    with pytest.raises(InputError, match="V00: the probability does not lie on the grid"):
        fit(tmp_path, cases, store)


def test_other_classes_and_scaled_answers_are_refused(folder, cases, store, tmp_path):
    with pytest.raises(InputError, match="no raw prediction of the classes a, b"):
        fit(folder, cases, store, classes=("a", "b"))
    with pytest.raises(InputError, match="V00: has the marker rare"):
        fit(folder, [replace(cases[0], marker="rare")], store)
    (case,) = predicted(tmp_path, 1)
    path = tmp_path / "V00" / "result.json"
    path.write_text(path.read_text().replace('"calibrated": false', '"calibrated": true'))
    with pytest.raises(InputError, match="no raw prediction"):
        fit(tmp_path, [case], store)
