"""Gradients joined on the shared encoder: two vectors in a plane, worked out by hand."""

import math
import sys

import pytest
import torch

from plgg.config import LossConfig
from plgg.core.errors import ConfigError
from plgg.tasks.weighting.build import make_weighting
from plgg.tasks.weighting.gradient_surgery import AGGREGATORS, cagrad

JOINED = (*AGGREGATORS, "cagrad")


def made(name, **settings):
    return make_weighting(
        LossConfig(weighting=name, **settings), {"segmentation": 1.0, "marker": 0.3}
    )


def joined(name, *rows, **settings):
    return made(name, **settings).combine(torch.tensor(rows)).tolist()


# Conflicting (-0.8 of the cosine), orthogonal of unlike length, and pointing much the same way.
CONFLICT = [[1.0, 0.0], [-0.8, 0.6]]
ORTHOGONAL = [[2.0, 0.0], [0.0, 1.0]]
AGREEING = [[1.0, 0.0], [1.0, 1.0]]


def aligned(rows):
    """Twice the mean after the balance of the singular values, from an SVD of the rows."""
    u, s, v = torch.linalg.svd(torch.tensor(rows), full_matrices=False)
    return (s.min() * u @ v).sum(dim=0).tolist()


KNOWN = [
    # Each gradient without its part against the other: (0.36, 0.48) and (0, 0.6).
    ("pcgrad", CONFLICT, [0.36, 1.08]),
    ("upgrad", CONFLICT, [0.36, 1.08]),
    ("pcgrad", ORTHOGONAL, [2.0, 1.0]),
    ("upgrad", ORTHOGONAL, [2.0, 1.0]),
    ("pcgrad", AGREEING, [2.0, 1.0]),
    ("upgrad", AGREEING, [2.0, 1.0]),
    # Twice the point nearest to 0 on the line between both.
    ("mgda", CONFLICT, [0.2, 0.6]),
    ("mgda", ORTHOGONAL, [0.8, 1.6]),
    ("mgda", AGREEING, [2.0, 0.0]),
    # Along the bisector, twice the weights that are one in sum and inverse to the lengths.
    ("imtlg", CONFLICT, [0.2, 0.6]),
    ("imtlg", ORTHOGONAL, [4.0 / 3.0, 4.0 / 3.0]),
    ("imtlg", AGREEING, [2.0, 2.0 / (1.0 + math.sqrt(2.0))]),
    ("alignedmtl", CONFLICT, aligned(CONFLICT)),
    # Both cut to the shorter one.
    ("alignedmtl", ORTHOGONAL, [1.0, 1.0]),
    ("alignedmtl", AGREEING, aligned(AGREEING)),
]


@pytest.mark.parametrize(("name", "rows", "expected"), KNOWN)
def test_two_gradients_give_what_was_worked_out_by_hand(name, rows, expected):
    assert joined(name, *rows) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rows", [CONFLICT, ORTHOGONAL, AGREEING, [[1.0, 0.0], [-3.0, 0.5]]])
@pytest.mark.parametrize("c", [0.1, 0.5, 0.9])
def test_cagrad_serves_the_worse_served_task_best_within_its_ball(rows, c):
    gradients = torch.tensor(rows, dtype=torch.float64)
    mean = gradients.mean(dim=0)
    turns = torch.linspace(0.0, 2.0 * math.pi, 20001, dtype=torch.float64)
    ball = mean + c * mean.norm() * torch.stack([turns.cos(), turns.sin()], dim=1)
    best = (ball @ gradients.T).min(dim=1).values.max()
    found = torch.tensor(joined("cagrad", *rows, cagrad_c=c), dtype=torch.float64) * (1.0 + c) / 2.0
    assert float((found - mean).norm()) == pytest.approx(c * float(mean.norm()), rel=1e-5)
    assert float((gradients @ found).min()) == pytest.approx(float(best), rel=1e-4, abs=1e-5)


def test_cagrad_without_a_ball_is_the_plain_sum():
    assert joined("cagrad", *CONFLICT, cagrad_c=0.0) == pytest.approx([0.2, 0.6])
    assert cagrad(torch.full((2, 2), 0.5, dtype=torch.float64), 0.5).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", JOINED)
def test_gradients_of_one_length_at_right_angles_are_summed_as_with_fixed_weights(name):
    assert joined(name, [0.0, 3.0], [3.0, 0.0]) == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize("name", ["upgrad", "pcgrad", "mgda", "imtlg"])
@pytest.mark.parametrize("ratio", [1.0, 1e-3])
def test_no_task_is_made_worse_however_small_its_gradient_is(name, ratio):
    rows = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(4))
    for pair in rows:
        pair[1] *= ratio
        gradient = made(name).combine(pair)
        assert (pair @ gradient >= -1e-3 * pair.norm(dim=1) * gradient.norm()).all()


@pytest.mark.parametrize("name", JOINED)
@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e9])
def test_the_size_of_both_changes_only_the_size(name, scale):
    # So many that a matrix of their number squared would not fit into any memory.
    rows = torch.randn(2, 1_000_000, generator=torch.Generator().manual_seed(3))
    weighting = made(name)
    expected = weighting.combine(rows)
    assert torch.allclose(weighting.combine(scale * rows) / scale, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", JOINED)
def test_where_one_task_has_no_gradient_the_other_is_taken_as_it_is(name):
    weighting = made(name)
    assert weighting.combine(torch.tensor([[1.0, 2.0], [0.0, 0.0]])).tolist() == [1.0, 2.0]
    assert weighting.combine(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist() == [3.0, 4.0]
    assert weighting.combine(torch.zeros(2, 2)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", JOINED)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e30])
def test_what_is_not_finite_is_left_for_the_training_to_see(name, wrong):
    found = made(name).combine(torch.tensor([[1.0, 2.0], [wrong, 0.0]]))
    assert found.tolist() == pytest.approx([1.0 + wrong, 2.0], nan_ok=True)


@pytest.mark.parametrize("name", JOINED)
@pytest.mark.parametrize("ratio", [1.0, 0.1, -0.1, -1.0])
def test_parallel_and_opposite_gradients_are_finite(name, ratio):
    row = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    found = made(name).combine(torch.stack([row, ratio * row]))
    assert bool(found.isfinite().all())
    assert float(found.norm()) <= 2.001 * float(row.norm())


def test_cagrad_goes_on_where_one_gradient_is_next_to_nothing():
    found = joined("cagrad", [1.0, 0.0], [0.0, 1e-8])
    assert 0.5 < found[0] <= 1.0


def test_for_two_tasks_upgrad_is_pcgrad():
    rows = torch.randn(20, 2, 5, generator=torch.Generator().manual_seed(2))
    for pair in rows:
        pair[1] *= 0.05
        one, two = (made(name).combine(pair) for name in ("upgrad", "pcgrad"))
        assert torch.allclose(one, two, atol=1e-4)


@pytest.mark.parametrize("name", JOINED)
def test_chance_plays_no_part_and_is_not_touched(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = joined(name, *CONFLICT)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert joined(name, *CONFLICT) == found


@pytest.mark.parametrize("name", AGGREGATORS)
def test_a_missing_package_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(ConfigError, match=rf"{name} needs.*plgg\[weighting\]") as caught:
        made(name)
    assert "\n" not in str(caught.value)
    made("cagrad")
