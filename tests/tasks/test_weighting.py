"""Weights that follow the losses or the gradients' norms: known answers, and what they keep."""

import math

import pytest

from plgg.config import LossConfig, with_settings
from plgg.core.errors import ConfigError
from plgg.tasks.weighting.build import WEIGHTINGS, make_weighting
from tiny import tiny_config

BASE = {"segmentation": 1.0, "marker": 0.3}


def losses(segmentation, marker):
    return {"segmentation": segmentation, "marker": marker}


def made(name, arm="multitask", **settings):
    chosen = LossConfig(weighting=name, **settings)
    return make_weighting(
        chosen, tiny_config().model_copy(update={"arm": arm, "loss": chosen}).task_weights
    )


def told(weighting, *steps):
    """Tell it of epochs of one step each; every step is (losses, norms)."""
    for loss, norms in steps:
        weighting.after_step(loss, norms)
        weighting.after_epoch(loss)
    return weighting.weights()


COURSE = [
    (losses(0.9 - 0.05 * i, 1.2 - 0.02 * i), {**losses(0.4, 0.1 + 0.01 * i), "cosine": -0.2})
    for i in range(8)
]


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_every_scheme_begins_with_lambda(name):
    assert made(name).weights() == pytest.approx(BASE)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_single_task_and_a_lambda_of_zero_are_never_reweighed(name):
    assert told(made(name, "single"), COURSE[0]) == {"segmentation": 1.0}
    assert told(made(name, marker_weight=0.0), *COURSE) == losses(1.0, 0.0)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_restored_scheme_goes_on_to_the_same_numbers(name):
    whole, begun, resumed = made(name), made(name), made(name)
    told(begun, *COURSE[:3])
    resumed.restore(begun.state())
    assert all(isinstance(value, float) for value in begun.state().values())
    assert told(resumed, *COURSE[3:]) == told(whole, *COURSE)
    assert resumed.state() == whole.state()


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_task_unknown_in_a_batch_or_in_an_epoch_breaks_nothing(name):
    weighting = made(name)
    unknown = (losses(0.5, 0.0), {**losses(0.3, 0.0), "cosine": 0.0})
    found = told(weighting, unknown, COURSE[0], unknown, unknown, COURSE[1], COURSE[2])
    assert all(math.isfinite(weight) and weight > 0.0 for weight in found.values())


def test_every_name_in_the_settings_has_a_scheme():
    for name in WEIGHTINGS:
        assert with_settings(tiny_config(), [f"loss.weighting={name}"]).loss.weighting == name
    with pytest.raises(ConfigError) as caught:
        with_settings(tiny_config(), ["loss.weighting=none"])
    named = str(caught.value)
    assert all(name in named for name in WEIGHTINGS)
    assert named.count("'") == 2 * len(WEIGHTINGS)


def test_proportional_makes_the_markers_part_lambda_times_the_segmentations():
    weighting = made("proportional")
    found = told(weighting, (losses(0.6, 1.5), None))
    assert found == pytest.approx(losses(1.0, 0.3 * 0.6 / 1.5))
    assert found["marker"] * 1.5 == pytest.approx(0.3 * found["segmentation"] * 0.6)
    # A marker learned by heart does not take over.
    assert told(weighting, (losses(0.5, 1e-9), None)) == pytest.approx(losses(1.0, 0.3 * 100.0))


def test_uncertainty_moves_by_the_derivative_of_its_total():
    weighting = made("uncertainty", uncertainty_rate=0.1)
    weighting.after_step(losses(0.5, 2.0), None)
    log = -math.log(0.3)
    assert weighting.state() == pytest.approx(losses(-0.1 * 0.5, log - 0.1 * (1.0 - 0.3 * 2.0)))


def test_uncertainty_ends_at_the_logarithm_of_a_steady_loss():
    weighting = made("uncertainty", uncertainty_rate=0.05)
    for _ in range(600):
        weighting.after_step(losses(0.2, 4.0), None)
    assert weighting.state() == pytest.approx(losses(math.log(0.2), math.log(4.0)))
    assert weighting.weights() == pytest.approx(losses(5.0, 0.25))


def test_uncertainty_is_thrown_no_further_than_its_rate_and_its_limit():
    weighting = made("uncertainty", uncertainty_rate=0.1, weight_limit=2.0)
    weighting.after_step(losses(1e6, 1e6), None)
    assert weighting.state() == pytest.approx(losses(0.1, 0.1 - math.log(0.3)))
    for _ in range(100):
        weighting.after_step(losses(1e-6, 1e6), None)
    assert weighting.weights() == pytest.approx(losses(2.0, 0.15))


def test_dwa_gives_the_slower_task_more_and_keeps_the_sum_of_its_factors():
    weighting = made("dwa")
    # Nothing to compare with in the first two epochs.
    assert told(weighting, (losses(1.0, 1.0), None)) == pytest.approx(BASE)
    found = told(weighting, (losses(0.5, 1.0), None))
    slow, fast = math.exp(1.0 / 2.0), math.exp(0.5 / 2.0)
    assert found["marker"] == pytest.approx(0.3 * 2.0 * slow / (slow + fast))
    assert found["segmentation"] == pytest.approx(2.0 * fast / (slow + fast))
    assert found["segmentation"] + found["marker"] / 0.3 == pytest.approx(2.0)


def test_dwa_survives_a_loss_that_leaps():
    found = told(made("dwa"), (losses(1e-6, 1.0), None), (losses(1e6, 1.0), None))
    assert found == pytest.approx(losses(2.0, 0.0))


def test_gradnorm_takes_one_step_that_can_be_followed_by_hand():
    weighting = made("gradnorm", marker_weight=1.0, gradnorm_rate=0.1)
    weighting.after_step(losses(1.0, 1.0), losses(3.0, 1.0))
    # Mean norm 2, both targets 2: slopes +3/2 and -1/2, times 0.1 and the sum of 2.
    moved = losses(1.0 - 0.3, 1.0 + 0.1)
    scale = 2.0 / sum(moved.values())
    assert weighting.weights() == pytest.approx({task: w * scale for task, w in moved.items()})


def test_gradnorm_makes_the_pulls_alike_where_both_learn_alike():
    weighting = made("gradnorm", gradnorm_rate=0.002)
    for _ in range(600):
        weighting.after_step(losses(0.5, 0.5), losses(3.0, 1.0))
    found = weighting.weights()
    assert sum(found.values()) == pytest.approx(1.3)
    assert found["segmentation"] * 3.0 == pytest.approx(found["marker"], rel=0.03)


def test_gradnorm_gives_the_slower_task_more():
    weighting = made("gradnorm", marker_weight=1.0, gradnorm_rate=0.002, gradnorm_alpha=1.0)
    weighting.after_step(losses(1.0, 1.0), losses(1.0, 1.0))
    for _ in range(600):
        weighting.after_step(losses(0.2, 0.6), losses(1.0, 1.0))
    found = weighting.weights()
    # Relative rates 0.2 / 0.4 and 0.6 / 0.4.
    assert found["marker"] / found["segmentation"] == pytest.approx(3.0, rel=0.05)
