"""The marker without a network, and who of several answers."""

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.ensemble import RandomForestClassifier

from plgg.config import InferenceConfig
from plgg.core.errors import RunError
from plgg.data.calibration import ForestModel, Tree, read_calibration, write_calibration
from plgg.measure.clinical import CLINICAL_INPUTS
from plgg.measure.forest import forest_probabilities
from plgg.measure.radiomics import RADIOMICS_INPUTS
from plgg.metrics.calibration import apply_temperature
from plgg.predict.calibrate.clinical import fit_clinical
from plgg.predict.calibrate.marker_rule import fit_marker_rule
from plgg.predict.calibrate.radiomics import fit_forest
from plgg.predict.calibrate.validation_scan import NamedMarker
from plgg.predict.ensemble import build_ensemble
from plgg.predict.marker import MarkerModels, calibrated_sources, marker_sources
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor
from plgg.predict.source import find_scans
from runs import calibrate, make_run, marker_rule
from tiny import tiny_store

CLASSES = ("a", "b", "c")


def patients(n, *, seed, told="glcm_entropy"):
    """Features of patients whose class shows in one of them, and in nothing else."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    rows = []
    for label in truth:
        row = dict(zip(RADIOMICS_INPUTS, rng.normal(size=len(RADIOMICS_INPUTS)), strict=True))
        rows.append(row | {told: 3.0 * label + rng.normal(scale=0.5)})
    return rows, truth


def models(rows, truth):
    clinical = np.array([[row[name] for name in CLINICAL_INPUTS] for row in rows])
    return MarkerModels(
        fit_clinical(clinical, truth, CLASSES),
        fit_forest(rows, [CLASSES[label] for label in truth], CLASSES),
    )


def test_the_forest_answers_as_scikit_learn_does():
    rows, truth = patients(60, seed=0)
    ours = fit_forest(rows, [CLASSES[label] for label in truth], CLASSES)
    table = np.array([[row[name] for name in RADIOMICS_INPUTS] for row in rows])
    forest = RandomForestClassifier(200, min_samples_leaf=3, max_features="sqrt", random_state=0)
    theirs = forest.fit(table, truth).predict_proba(table)
    answers = [list(forest_probabilities(ours, row).values()) for row in rows]
    assert np.allclose(answers, theirs, atol=1e-5)
    assert ForestModel.model_validate_json(ours.model_dump_json()) == ours


def test_what_is_unknown_is_the_mean_and_too_few_teach_nothing():
    rows, truth = patients(40, seed=1)
    forest = fit_forest(rows, [CLASSES[label] for label in truth], CLASSES)
    means = dict(zip(forest.inputs, forest.means, strict=True))
    assert forest_probabilities(forest, {}) == forest_probabilities(forest, means)
    assert fit_forest(rows[:9], [CLASSES[label] for label in truth[:9]], CLASSES) is None
    assert fit_forest(rows, ["a"] * 40, CLASSES) is None


def test_a_forest_from_a_file_must_be_one():
    def tree(**changes):
        leaf = {"leaf": ((), (1.0, 0.0), (0.0, 1.0))}
        nodes = {"feature": (0, -1, -1), "threshold": (1.0, 0.0, 0.0)}
        ways = {"left": (1, -1, -1), "right": (2, -1, -1)}
        return Tree(**(nodes | ways | leaf | changes))

    def forest(one, **changes):
        plain = {"classes": ("a", "b"), "inputs": ("x",), "means": (0.0,), "n": 9}
        return ForestModel(**(plain | {"trees": (one,)} | changes))

    assert forest_probabilities(forest(tree()), {"x": 1.0}) == {"a": 1.0, "b": 0.0}
    for broken in ({"left": (0, -1, -1)}, {"right": (3, -1, -1)}, {"threshold": (1.0,)}):
        with pytest.raises(ValidationError):
            tree(**broken)
    for broken in ({"means": ()}, {"inputs": ()}, {"classes": ("a",)}, {"trees": ()}):
        with pytest.raises(ValidationError):
            forest(tree(), **broken)


def rule(asked, *, n=45, told="glcm_entropy", knows=0.0):
    """Of validation patients whose network knows a share of the truth."""
    learnt = models(*patients(80, seed=2, told=told))
    rows, truth = patients(n, seed=3, told=told)
    rng = np.random.default_rng(4)
    raw = rng.dirichlet(np.ones(3), n) * (1 - knows) + knows * np.eye(3)[truth]
    named = [
        NamedMarker(tuple(p), int(t), row, f"P{k}")
        for k, (p, t, row) in enumerate(zip(raw, truth, rows, strict=True))
    ]
    by_case = {scan.case_id: learnt for scan in named}
    return fit_marker_rule(named, by_case, InferenceConfig(marker_from=asked)), learnt, named


def test_the_best_answers_where_there_are_enough_to_tell():
    found, _, _ = rule("best")
    assert found.source == "radiomics"
    assert found.log_loss["radiomics"] < found.log_loss["combined"] < found.log_loss["network"]
    assert rule("best", knows=0.95)[0].source == "network"
    assert rule("best", n=20)[0].source == "network"
    assert rule("network")[0].source == "network"
    assert rule("combined")[0].source == "combined"


def test_without_a_forest_the_network_answers():
    _, learnt, named = rule("combined")
    none = dict.fromkeys([scan.case_id for scan in named], MarkerModels(learnt.clinical, None))
    found = fit_marker_rule(named, none, InferenceConfig(marker_from="combined"))
    assert found.source == "network"


@pytest.mark.parametrize("source", ["network", "radiomics", "combined"])
def test_the_answer_is_of_the_source_at_its_temperature(source):
    from plgg.data.calibration import Calibration, MaskRule

    found, learnt, named = rule(source)
    mask = MaskRule(threshold=0.5, smallest_ml=0, dice=None, plain_dice=None, n=0)
    calibration = Calibration(
        model_sha256="0" * 64,
        mask=mask,
        volume=None,
        marker=found,
        clinical=learnt.clinical,
        familiarity=None,
        radiomics=learnt.forest,
    )
    raw, features = np.array(named[0].probabilities), named[0].features
    answer, sources = calibrated_sources(raw, calibration, features)
    network = apply_temperature(raw, found.network_temperature or found.temperature)
    wanted = marker_sources(network, learnt, features)[source]
    if source != "network":
        wanted = apply_temperature(wanted, found.temperature)
    assert np.allclose(answer, wanted)
    assert np.isclose(answer.sum(), 1.0)
    assert set(sources) == {"network", "radiomics", "combined"}
    raw_answer, alone = calibrated_sources(raw, None, features)
    assert np.allclose(raw_answer, raw)
    assert set(alone) == {"network"}


def test_the_marker_of_a_tumour_that_was_not_found_is_withheld(tmp_path):
    store = tiny_store(tmp_path / "store", n=1)
    (scan,) = find_scans([store.folder])
    said = {}
    for name, threshold in (("all", 0.001), ("nothing", 1.0)):
        rules = {"threshold": threshold, "marker": marker_rule(answer_from=0.0)}
        run = calibrate(make_run(tmp_path / name), **rules)
        _, result = Predictor(build_ensemble([load_member(run)])).predict_in_memory(scan)
        said[name] = (result.volume_ml > 0, result.marker.withheld, result.marker.statement)
    assert said["all"][:2] == (True, False)
    assert said["nothing"][:2] == (False, True)
    assert "no tumour was found" in said["nothing"][2]


def test_a_forest_of_fewer_features_answers_and_one_of_others_is_refused(tmp_path):
    """Features were added since; none that an older forest asks for has gone."""
    run = calibrate(make_run(tmp_path / "run", classes=CLASSES))
    calibration = read_calibration(run)
    leaves = ((), (1.0, 0.0, 0.0), (0.0, 0.5, 0.5))
    stump = Tree(
        feature=(0, -1, -1), threshold=(1.0, 0, 0), left=(1, -1, -1), right=(2, -1, -1), leaf=leaves
    )

    def asking(inputs):
        means = (0.0,) * len(inputs)
        forest = ForestModel(classes=CLASSES, inputs=inputs, means=means, trees=(stump,), n=2)
        write_calibration(run, calibration.model_copy(update={"radiomics": forest}))
        return load_member(run).calibration.radiomics

    older = RADIOMICS_INPUTS[:-4]
    assert forest_probabilities(asking(older), {older[0]: 2.0}) == {"a": 0.0, "b": 0.5, "c": 0.5}
    with pytest.raises(RunError, match="was made from other radiomics"):
        asking((*older, "unheard_of"))
