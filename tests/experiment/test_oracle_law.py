"""Where the marker alone determines the outline, the oracle is better."""

import numpy as np
import pytest

from plgg import api
from plgg.data.store import Store
from plgg.data.store_arrays import encode
from plgg.data.store_records import Cohort
from plgg.data.store_writing import write_cohort
from plgg.experiment.options import Design
from tiny import SPACING_MM, stored_case, tiny_config, write_tiny_case

SHAPE = (24, 24, 24)
CLASSES = ("bright", "dark")
pytestmark = pytest.mark.slow


def riddle(marker, seed):
    """A bright ball and a dark one, of which the marker alone says which is the tumour."""
    rng = np.random.default_rng(seed)
    points = np.moveaxis(np.indices(SHAPE), 0, -1) + 0.5
    brain = np.square((points / 24 - 0.5) * 2.1).sum(axis=-1) <= 1.0
    sides = rng.permutation([8, 16])
    z_score, balls = rng.normal(0.0, 0.3, SHAPE), {}
    for name, side, level in zip(CLASSES, sides, (4.0, -4.0), strict=True):
        centre = np.array([side, 12, 12]) + rng.uniform(-1.5, 1.5, 3)
        balls[name] = np.linalg.norm(points - centre, axis=-1) <= 3.5
        z_score += level * balls[name]
    return encode(z_score, brain), balls[marker].astype(np.uint8)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("riddles")
    cases = []
    for number in range(20):
        marker = CLASSES[number % 2]
        case = stored_case(f"P{number:02d}", marker=marker, shape=SHAPE)
        image, mask = riddle(marker, number)
        write_tiny_case(folder / "store", case, image=image, mask=mask)
        cases.append(case)
    cohort = Cohort(spacing_mm=SPACING_MM, classes=CLASSES, cases=tuple(cases))
    write_cohort(folder / "store", cohort)
    config = tiny_config(
        "patches.size=[24,24,24]",
        "optimiser.epochs=25",
        "optimiser.learning_rate=0.003",
        "validate_every=25",
        "loss.voxel_weight=1",
    )
    design = Design(1, arms=("single", "oracle"))
    store = Store(folder / "store").folder
    assert not api.experiment(store, folder / "out", config, design=design).failed
    return api.compare(folder / "out")


def test_the_oracle_outlines_what_the_single_network_cannot_know(compared):
    single, oracle = (compared.of(arm, "test").dice.mean for arm in ("single", "oracle"))
    assert oracle > 0.8
    # Both balls outlined give two thirds, one of them by chance one half.
    assert single < 0.75
    assert compared.marker.can_help.difference == pytest.approx(oracle - single, abs=1e-6)
    # Three test patients show nothing by Wilcoxon's test, however large the difference is.
    assert compared.marker.can_help.shown == "not shown"
