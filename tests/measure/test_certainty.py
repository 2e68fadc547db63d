"""How sure a mask is, against what can be worked out by hand or by drawing truths."""

import numpy as np
import pytest

from plgg.measure.uncertainty import MIN_PROBABILITY, agreement, entropy, expected_dice
from plgg.metrics.overlap import hard_dice


def test_entropy_is_nothing_where_certain_and_one_bit_at_a_half():
    bits = entropy(np.array([0.0, 1.0, 0.5, 0.25, 0.75]))
    assert bits.dtype == np.float32
    np.testing.assert_allclose(bits, [0, 0, 1, 0.811278, 0.811278], atol=1e-6)


def test_entropy_stays_between_nothing_and_a_bit_and_is_even():
    probability = np.random.default_rng(0).random((20, 20, 20)).astype(np.float32)
    bits = entropy(probability)
    assert bits.min() >= 0
    assert bits.max() <= 1
    np.testing.assert_allclose(bits, entropy(1 - probability), atol=1e-5)


def test_expected_dice_is_that_of_truths_drawn_from_the_probabilities():
    rng = np.random.default_rng(1)
    place = np.moveaxis(np.indices((24, 24, 24)), 0, -1) - 11.5
    probability = 1 / (1 + np.exp(np.linalg.norm(place, axis=-1) - 7))
    probability[probability < MIN_PROBABILITY] = 0
    mask = probability >= 0.5
    drawn = [hard_dice(mask, rng.random(mask.shape) < probability) for _ in range(200)]
    assert expected_dice(probability, mask) == pytest.approx(np.mean(drawn), abs=0.003)


def test_expected_dice_is_one_where_certain_and_falls_with_doubt():
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[1:4, 1:4, 1:4] = True
    found = [expected_dice(np.where(mask, p, 1 - p), mask) for p in (1.0, 0.9, 0.6)]
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)


def test_a_whole_brain_of_faint_probabilities_does_not_count():
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[10:14, 10:14, 10:14] = True
    assert expected_dice(np.where(mask, 0.9, 0.01), mask) == pytest.approx(1.8 / 1.9)
    assert expected_dice(np.where(mask, 0.9, MIN_PROBABILITY), mask) < 0.1


def test_an_empty_mask_has_no_expected_dice():
    assert expected_dice(np.full((2, 2, 2), 0.1), np.zeros((2, 2, 2), dtype=bool)) is None


def test_agreement_is_the_mean_over_pairs():
    a, b, c = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]], dtype=bool)
    assert agreement([a, b, c]) == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert agreement([a, a, a]) == 1.0


def test_one_answer_agrees_with_nobody_and_empty_ones_agree_fully():
    empty = np.zeros(4, dtype=bool)
    assert agreement([empty]) is None
    assert agreement([]) is None
    assert agreement([empty, empty]) == 1.0
    assert agreement([empty, ~empty]) == 0.0
