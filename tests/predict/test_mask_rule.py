import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from plgg.config import InferenceConfig
from plgg.data.calibration import MaskRule
from plgg.measure.components import remove_small_components
from plgg.measure.outline import outlined
from plgg.metrics.overlap import hard_dice
from plgg.predict.calibrate.mask import fit_mask, mask_options, score_mask

VOXEL_ML = 0.05
OPEN = mask_options(InferenceConfig())


def ball(centre, radius, shape=(24, 24, 24)):
    points = np.moveaxis(np.indices(shape), 0, -1)
    return np.linalg.norm(points - np.asarray(centre), axis=-1) <= radius


def scored(probability, truth, options=OPEN, *, patient="a"):
    return score_mask(
        probability.astype(np.float32),
        truth,
        options,
        voxel_volume_ml=VOXEL_ML,
        patient_id=patient,
    )


def cohort(n, make, options=OPEN):
    return [
        scored(*make(np.random.default_rng(seed)), options, patient=f"P{seed}") for seed in range(n)
    ]


def best_at_three_tenths(rng):
    """The tumour has probabilities from 0.3 on, its surroundings up to 0.28."""
    truth = ball(rng.uniform(9, 14, 3), rng.uniform(4, 7))
    outside = ball((12, 12, 12), 11) * rng.uniform(0.0, 0.28, truth.shape)
    return np.where(truth, rng.uniform(0.301, 0.9, truth.shape), outside), truth


def with_specks(rng):
    """A tumour that is outlined rightly, and false parts of 0.4 mL apart from it."""
    truth = ball((8, 8, 8), rng.uniform(3, 5))
    specks = np.zeros_like(truth)
    specks[16:18, 16:18, 16:18] = True
    specks[20:22, 20:22, 20:22] = True
    return np.where(truth | specks, 0.95, 0.01), truth


def blurred(rng):
    """Right at 0.5 but for noise."""
    centre, radius = rng.uniform(9, 14, 3), rng.uniform(4, 7)
    points = np.moveaxis(np.indices((24, 24, 24)), 0, -1)
    distance = np.linalg.norm(points - centre, axis=-1) + rng.normal(0, 0.7)
    return 1 / (1 + np.exp(distance - radius)), ball(centre, radius)


def test_a_planted_threshold_is_found():
    rule, place = fit_mask(cohort(10, best_at_three_tenths), OPEN)
    assert (rule.threshold, rule.smallest_ml, rule.n) == (0.3, 0.0, 10)
    assert OPEN.thresholds[place[0]] == 0.3
    assert rule.dice == pytest.approx(1.0)
    assert rule.plain_dice < 0.9


def test_a_planted_smallest_part_is_found_and_no_larger_one():
    rule, _ = fit_mask(cohort(10, with_specks), OPEN)
    assert (rule.threshold, rule.smallest_ml) == (0.5, 0.5)
    assert rule.dice == pytest.approx(1.0)


def test_noise_seldom_moves_the_rule():
    """A gain of more than its standard error comes by chance now and then."""
    rules = [
        fit_mask(
            [
                scored(*blurred(np.random.default_rng(seed)), patient=str(seed))
                for seed in range(start, start + 12)
            ],
            OPEN,
        )[0]
        for start in range(0, 60, 12)
    ]
    stayed = [rule for rule in rules if (rule.threshold, rule.smallest_ml) == (0.5, 0.0)]
    assert len(stayed) >= 4
    assert all(rule.dice == rule.plain_dice for rule in stayed)


def faint_or_not(rng):
    """Some tumours are seen surely, with a soft rim; others are as soft but for their core."""
    truth = ball((12, 12, 12), rng.uniform(4, 6))
    if rng.random() < 0.5:
        rim = ndimage.binary_dilation(truth)
        return np.where(truth, 0.95, np.where(rim, 0.33, 0.0)), truth
    return np.where(ball((12, 12, 12), 3), 0.55, np.where(truth, 0.3, 0.0)), truth


def test_where_some_tumours_are_faint_each_scan_gets_its_own_threshold():
    rule, place = fit_mask(cohort(12, faint_or_not), OPEN)
    assert rule.threshold == "expected-dice"
    assert OPEN.thresholds[place[0]] == "expected-dice"
    assert rule.dice > rule.plain_dice + 0.1


def test_what_helps_a_single_patient_does_not_move_the_rule():
    """Eleven are outlined rightly at any threshold from 0.5 on, the twelfth only below."""
    truth = ball((12, 12, 12), 5)
    scores = [scored(truth * 0.55, truth, patient=str(n)) for n in range(11)]
    scores.append(scored(truth * 0.45, truth, patient="other"))
    assert fit_mask(scores, OPEN)[0].threshold == 0.5


def test_many_scans_of_one_patient_count_as_one():
    scores = [scored(*best_at_three_tenths(np.random.default_rng(n))) for n in range(10)]
    rule, _ = fit_mask(scores, OPEN)
    assert (rule.threshold, rule.n) == (0.5, 10)


def test_what_the_settings_fix_is_kept_and_judged():
    options = mask_options(InferenceConfig(threshold=0.37, smallest_ml=2.0))
    rule, _ = fit_mask(cohort(6, best_at_three_tenths, options), options)
    assert (rule.threshold, rule.smallest_ml) == (0.37, 2.0)
    assert rule.plain_dice < rule.dice < 1


def test_what_the_settings_leave_open_is_chosen_beside_what_they_fix():
    options = mask_options(InferenceConfig(smallest_ml=0.25))
    rule, _ = fit_mask(cohort(10, best_at_three_tenths, options), options)
    assert (rule.threshold, rule.smallest_ml) == (0.3, 0.25)


def test_without_scans_the_rule_is_plain():
    rule, _ = fit_mask([], OPEN)
    assert (rule.threshold, rule.smallest_ml, rule.n) == (0.5, 0.0, 0)
    assert rule.dice is rule.plain_dice is None


def test_every_option_is_what_prediction_would_make():
    rng = np.random.default_rng(0)
    probability = rng.random((18, 20, 16)).astype(np.float32) ** 3
    truth = ball((9, 9, 9), 5, probability.shape)
    found = scored(probability, truth)
    for i, threshold in enumerate(OPEN.thresholds):
        for j, smallest_ml in enumerate(OPEN.smallest_ml):
            mask = remove_small_components(
                outlined(probability, threshold),
                voxel_volume_ml=VOXEL_ML,
                smallest_ml=smallest_ml,
            )
            assert found.dice[i, j] == hard_dice(mask, truth)
            assert found.volume_ml[i, j] == pytest.approx(mask.sum() * VOXEL_ML)


def test_empty_masks_agree_and_have_no_volume():
    nothing = np.zeros((6, 6, 6))
    both = scored(nothing, nothing > 0)
    assert (both.dice == 1).all()
    assert (both.volume_ml == 0).all()
    assert both.true_ml == 0
    assert (scored(nothing, nothing == 0).dice == 0).all()


@pytest.mark.parametrize("threshold", [0.0, 1.5, "often"])
def test_a_threshold_that_no_setting_may_be_is_no_rule_either(threshold):
    """From 0 on, every voxel is tumour."""
    with pytest.raises(ValidationError, match="threshold"):
        MaskRule(threshold=threshold, smallest_ml=0.0, dice=None, plain_dice=None, n=1)
