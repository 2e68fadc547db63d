"""Several networks answer as their mean, and by the strictest of their rules."""

import numpy as np
import pytest

from plgg.core.errors import ConfigError, InputError, RunError
from plgg.core.volume import Volume
from plgg.measure.outline import outlined, threshold_of
from plgg.predict.ensemble import build_ensemble, inference_settings
from plgg.predict.marker import marker_answer
from plgg.predict.member import load_member
from plgg.predict.memory import GIB, bytes_per_voxel
from runs import CLASSES, calibrate, make_run, marker_rule
from tiny import blob_case, tiny_config

CODES = blob_case(seed=4)[0]
# A faint tumour: nowhere sure, with as much again around it.
PROBABILITY = np.zeros((8, 8, 8), dtype=np.float32)
PROBABILITY[1:7, 1:7, 1:7] = 0.4
PROBABILITY[2:5, 2:5, 2:5] = 0.6
FAINT = Volume(PROBABILITY, np.diag([9.0, 9.0, 9.0, 1.0]))
HALVED = FAINT.with_data(PROBABILITY / 2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return [make_run(tmp_path_factory.mktemp(f"run-{seed}"), seed=seed) for seed in range(2)]


def together(*runs, **options):
    return build_ensemble([load_member(run, **options) for run in runs])


def marker(networks):
    """The marker of the box, where nothing but the networks answers."""
    calibrations = [member.calibration for member in networks.members]
    found = marker_answer(networks.answer(CODES).markers, calibrations, {})
    return None if found is None else found.probabilities


def test_an_ensemble_gives_the_mean_of_its_members(runs):
    alone = [together(run).answer(CODES) for run in runs]
    both = together(*runs).answer(CODES)
    tumours = [answer.tumour for answer in alone]
    np.testing.assert_allclose(both.tumour, np.mean(tumours, axis=0), atol=1e-6)
    markers = [marker(together(run)) for run in runs]
    np.testing.assert_allclose(marker(together(*runs)), np.mean(markers, axis=0), atol=1e-9)
    assert len(both.views) == 2
    np.testing.assert_allclose(both.views[1], tumours[1], atol=1e-6)


def test_a_network_answers_once(runs):
    """Twice the same would weigh double, and agree with itself."""
    with pytest.raises(ConfigError, match="is the same network as another"):
        together(*runs, runs[0])


def test_each_member_is_scaled_by_its_own_temperature(tmp_path):
    run = calibrate(make_run(tmp_path / "a"), marker=marker_rule(temperature=2.0))
    raw = marker(together(run, calibrated=False))
    root = np.sqrt(raw)
    np.testing.assert_allclose(marker(together(run)), root / root.sum(), rtol=1e-6)


def test_the_arms_may_answer_together(runs, tmp_path):
    single = make_run(tmp_path / "single", "arm=single")
    both = together(single, runs[0])
    assert marker(together(single)) is None
    np.testing.assert_allclose(marker(both), marker(together(runs[0])), atol=1e-9)


def test_rules_are_those_of_the_validation_patients(tmp_path):
    one = calibrate(
        make_run(tmp_path / "one"),
        threshold=0.4,
        smallest_ml=0.5,
        log_ratio=0.3,
        marker=marker_rule(answer_from=0.6),
    )
    two = calibrate(
        make_run(tmp_path / "two", seed=1),
        threshold=0.6,
        log_ratio=0.5,
        marker=marker_rule(answer_from=0.7),
    )
    both = together(one, two)
    assert both.threshold_mask(FAINT).threshold == pytest.approx(0.5)
    assert both.smallest_ml() == pytest.approx(0.25)
    assert both.volume_rule.log_ratio == 0.5
    assert both.answer_from == 0.7
    assert both.calibrated


def test_one_member_that_was_never_calibrated_is_enough_to_withhold(runs, tmp_path):
    one = calibrate(make_run(tmp_path / "one"), log_ratio=0.3, marker=marker_rule())
    both = together(one, runs[1])
    assert not both.calibrated
    assert both.answer_from is None
    assert both.volume_rule is None


def test_what_the_user_sets_wins(tmp_path):
    run = calibrate(make_run(tmp_path / "run"), threshold=0.4, smallest_ml=0.5)
    member = load_member(run)
    settings = inference_settings(
        member.config, ["inference.threshold=0.7", "inference.smallest_ml=0"]
    )
    found = build_ensemble([member], settings)
    assert (found.threshold_mask(FAINT).threshold, found.smallest_ml()) == (0.7, 0)


def test_a_scan_has_its_own_threshold_where_the_members_were_taught_so(tmp_path):
    one = calibrate(make_run(tmp_path / "one"), threshold="expected-dice")
    two = calibrate(make_run(tmp_path / "two", seed=1), threshold=0.6)
    own = threshold_of(PROBABILITY, "expected-dice")
    assert own < 0.45
    alone = together(one).threshold_mask(FAINT)
    assert (alone.threshold, alone.rule) == (own, "expected-dice")
    assert np.array_equal(alone.mask, outlined(PROBABILITY, "expected-dice"))
    # On another grid the threshold is that of the scan, not a second one.
    assert together(one).threshold_mask(HALVED, threshold=own).threshold == own
    both = together(one, two).threshold_mask(FAINT)
    assert (both.threshold, both.rule) == (pytest.approx((own + 0.6) / 2), "expected-dice")
    assert together(two).threshold_mask(FAINT).rule == "fixed"


def test_only_inference_can_be_set():
    with pytest.raises(ConfigError, match=r"inference\.\*"):
        inference_settings(tiny_config(), ["grid.spacing_mm=2"])


@pytest.mark.parametrize(
    ("settings", "classes", "words"),
    [
        ((), ("a", "b", "c"), "its classes are a, b, c"),
        (("grid.spacing_mm=3",), CLASSES, "voxels"),
        (("preprocess.registration=rigid",), CLASSES, "registered in another way"),
    ],
)
def test_runs_for_other_scans_or_classes_are_refused(runs, tmp_path, settings, classes, words):
    other = make_run(tmp_path / "other", *settings, classes=classes)
    with pytest.raises(ConfigError, match=words):
        together(runs[0], other)


def test_scans_of_unknown_markers_are_refused_by_networks_that_name_markers(runs, tmp_path):
    with pytest.raises(InputError, match="have the marker IDHwt"):
        together(runs[0]).require_classes(["fusion", None, "IDHwt"])
    together(runs[0]).require_classes(["fusion", None])
    together(make_run(tmp_path / "single", "arm=single")).require_classes(["IDHwt"])


def test_a_calibration_of_another_checkpoint_is_refused(tmp_path):
    run = calibrate(make_run(tmp_path / "run"))
    make_run(run, seed=5)
    with pytest.raises(RunError, match="another checkpoint"):
        load_member(run)


def test_a_want_of_memory_is_told(runs):
    member = load_member(runs[0])
    need_gib = bytes_per_voxel(member.engine, CODES.shape) * CODES.size / GIB
    cramped = inference_settings(member.config, [f"inference.memory_gib={0.7 * need_gib}"])
    assert not build_ensemble([member]).answer(CODES).short_of_memory
    assert build_ensemble([member], cramped).answer(CODES).short_of_memory
    chosen = inference_settings(member.config, ["inference.window=[32,32,32]"])
    assert not build_ensemble([member], chosen).answer(CODES).short_of_memory
