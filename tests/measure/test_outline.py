"""Where a probability is cut: laws of the expected Dice, and what must not be invented."""

import numpy as np
import pytest
from scipy import ndimage

from plgg.config import EXPECTED_DICE, InferenceConfig
from plgg.measure.outline import DEFAULT_THRESHOLD, outlined, threshold_of
from plgg.measure.uncertainty import MIN_PROBABILITY, expected_dice
from plgg.metrics.overlap import hard_dice

SHAPE = (12, 14, 10)


def smooth(seed, top=1.0):
    """A probability as networks give it: smooth, from 0 to `top`."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 2)
    noise = (noise - noise.min()) / np.ptp(noise)
    return (top * noise**3).astype(np.float32)


def tumour(radius, top):
    """A ball with a soft edge, `top` likely at its centre."""
    points = np.moveaxis(np.indices((24, 24, 24)), 0, -1)
    return top / (1 + np.exp(np.linalg.norm(points - 12, axis=-1) - radius))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("top", [1.0, 0.7, 0.52])
def test_no_other_threshold_has_a_higher_expected_dice(seed, top):
    probability = smooth(seed, top)
    threshold = threshold_of(probability, EXPECTED_DICE)
    best = expected_dice(probability, probability >= threshold)
    every = [expected_dice(probability, probability >= t) for t in np.unique(probability)]
    assert best == pytest.approx(max(dice for dice in every if dice is not None), abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_about_half_of_the_expected_dice(seed):
    """What is added pays if its probability is over half of the Dice that there is already."""
    probability = smooth(seed)
    threshold = threshold_of(probability, EXPECTED_DICE)
    dice = expected_dice(probability, probability >= threshold)
    next_lower = probability[probability < threshold].max()
    assert next_lower <= dice / 2 + 1e-6
    assert threshold >= dice / 2 - 0.01


def test_the_fainter_a_tumour_the_lower_it_is_cut():
    thresholds = [threshold_of(smooth(0, top), EXPECTED_DICE) for top in (1.0, 0.8, 0.6)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[-1]
    assert thresholds[-1] >= MIN_PROBABILITY


def test_where_nothing_is_likely_nothing_is_outlined():
    faint = smooth(1, top=0.49)
    assert threshold_of(faint, EXPECTED_DICE) == DEFAULT_THRESHOLD
    assert not outlined(faint, EXPECTED_DICE).any()
    nothing = np.zeros(SHAPE, dtype=np.float32)
    assert not outlined(nothing, EXPECTED_DICE).any()


def test_a_part_that_is_nowhere_likely_is_left_out_and_others_stay():
    probability = np.zeros(SHAPE, dtype=np.float32)
    probability[1:5, 1:5, 1:5] = 0.45
    probability[2:4, 2:4, 2:4] = 0.7
    probability[8:10, 8:12, 5:8] = 0.45
    assert threshold_of(probability, EXPECTED_DICE) == np.float32(0.45)
    mask = outlined(probability, EXPECTED_DICE)
    assert mask[1:5, 1:5, 1:5].all()
    assert mask.sum() == 64
    assert outlined(probability, 0.45).sum() == 64 + 24
    # Cut elsewhere, as on another grid, it is still the rule of this scan.
    assert outlined(probability, EXPECTED_DICE, 0.6).sum() == 8


@pytest.mark.parametrize("threshold", [0.2, 0.5, 1.0])
def test_a_number_is_a_plain_threshold(threshold):
    probability = smooth(2)
    assert threshold_of(probability, threshold) == threshold
    assert np.array_equal(outlined(probability, threshold), probability >= threshold)


def test_on_calibrated_faint_tumours_it_beats_every_fixed_threshold():
    """Truths drawn from the probabilities, of scans that are sure and of scans that are not."""
    rng = np.random.default_rng(3)
    scans = [tumour(radius, top) for radius in (3, 5, 7) for top in (0.99, 0.6)]
    truths = [rng.random(scan.shape) < scan for scan in scans]

    def mean(rule):
        pairs = zip(scans, truths, strict=True)
        return np.mean([hard_dice(outlined(scan, rule), truth) for scan, truth in pairs])

    assert mean(EXPECTED_DICE) > max(mean(t) for t in np.arange(0.1, 0.9, 0.05))


def test_the_setting_is_a_probability_or_the_rule():
    assert InferenceConfig(threshold="expected-dice").threshold == EXPECTED_DICE
    for wrong in ("best", 0.0, 1.5, -1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            InferenceConfig(threshold=wrong)
