"""How the marker determines the tumour, and that it does not where it must not."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from plgg.phantom.plan import FREQUENCIES, MAX_VOLUME_ML, MIN_VOLUME_ML, PLACES, Plan, draw_plan
from plgg.phantom.settings import CLASSES, phantom_settings

BEHIND = {"cerebellar hemisphere", "vermis", "brainstem", "optic pathway"}


def _plan(seed: int, marker: str, **settings: object) -> Plan:
    return draw_plan(np.random.default_rng(seed), marker, phantom_settings(**settings))


def _plans(marker: str, link: float, n: int = 400, population: str = "child") -> list[Plan]:
    return [_plan(seed, marker, population=population, link=link) for seed in range(n)]


def _same(a: Plan, b: Plan) -> bool:
    return all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(Plan)
    )


@pytest.mark.parametrize("population", ["child", "adult"])
def test_without_link_the_marker_changes_nothing(population: str):
    by_class = [_plans(name, 0.0, 60, population) for name in CLASSES]
    for plans in zip(*by_class, strict=True):
        assert _same(plans[0], plans[1])
        assert _same(plans[0], plans[2])


def test_halos_follow_the_look_and_change_only_the_size():
    for name in CLASSES:
        for seed in range(20):
            bare, ringed = (_plan(seed, name, halos=halos) for halos in (0.0, 1.0))
            assert (bare.halo, bare.infiltrates) == (0.0, False)
            assert ringed.halo > 0
            assert ringed.infiltrates is (name != "BRAF_fusion")
            assert ringed.volume_ml < bare.volume_ml
            alike = replace(ringed, halo=0.0, infiltrates=False, volume_ml=bare.volume_ml)
            assert _same(alike, bare)


def test_halos_are_as_wide_as_asked_for():
    for seed in range(20):
        narrow, wide = (_plan(seed, "other", halos=1.0, halo_width=by) for by in (0.4, 0.8))
        assert wide.halo == pytest.approx(2.0 * narrow.halo)
        assert 0.32 <= narrow.halo <= 0.48


def test_without_link_halos_do_not_follow_the_marker():
    kinds = [
        [_plan(seed, name, link=0.0, halos=1.0).infiltrates for seed in range(60)]
        for name in CLASSES
    ]
    assert kinds[0] == kinds[1] == kinds[2]
    assert 0 < sum(kinds[0]) < 60


def test_where_spots_show_the_marker_the_tumour_does_not():
    for seed in range(40):
        plans = [_plan(seed, name, elsewhere=1.0, halos=1.0) for name in CLASSES]
        assert [plan.spots for plan in plans] == list(CLASSES)
        assert [plan.infiltrates for plan in plans] == [name != "BRAF_fusion" for name in CLASSES]
        alike = [replace(plan, spots=None, infiltrates=False) for plan in plans]
        assert _same(alike[0], alike[1])
        assert _same(alike[0], alike[2])


def test_without_link_spots_do_not_follow_the_marker():
    for seed in range(40):
        plans = [_plan(seed, name, link=0.0, elsewhere=1.0, halos=1.0) for name in CLASSES]
        assert _same(plans[0], plans[1])
        assert _same(plans[0], plans[2])


def test_contrast_makes_tumours_brighter_and_changes_nothing_else():
    for seed in range(20):
        usual, bright = (_plan(seed, "other", contrast=factor) for factor in (1.0, 2.0))
        assert bright.brightness == 2.0 * usual.brightness
        assert _same(replace(bright, brightness=usual.brightness), usual)


def test_with_link_fusion_lies_behind_or_midline_and_v600e_in_the_hemispheres():
    share = {
        name: np.mean([plan.place in BEHIND for plan in _plans(name, 1.0)]) for name in CLASSES
    }
    assert share["BRAF_fusion"] > 0.7
    assert share["BRAF_V600E"] < 0.25
    assert share["other"] < 0.25


def test_half_a_link_is_between():
    share = [
        np.mean([plan.place in BEHIND for plan in _plans("BRAF_fusion", link)])
        for link in (0.0, 0.5, 1.0)
    ]
    assert share[0] < share[1] < share[2]


def test_appearances_differ_by_class_and_overlap():
    cystic = {name: np.mean([len(p.cysts) == 1 for p in _plans(name, 1.0)]) for name in CLASSES}
    assert cystic["BRAF_fusion"] > 0.5
    assert 0.02 < cystic["other"] < 0.2
    soft = {name: [p.softness_mm for p in _plans(name, 1.0)] for name in CLASSES}
    assert np.median(soft["BRAF_fusion"]) < np.median(soft["other"])
    assert np.quantile(soft["BRAF_fusion"], 0.9) > np.quantile(soft["other"], 0.1)


def test_volumes_stay_in_range_and_vary():
    volumes = [plan.volume_ml for name in CLASSES for plan in _plans(name, 1.0)]
    assert min(volumes) >= MIN_VOLUME_ML
    assert max(volumes) <= MAX_VOLUME_ML
    assert np.quantile(volumes, 0.9) > 4 * np.quantile(volumes, 0.1)


def test_growth_stops_at_the_largest_volume():
    (plan,) = _plans("other", 1.0, 1)
    assert plan.grown(1.5).volume_ml == pytest.approx(min(1.5 * plan.volume_ml, MAX_VOLUME_ML))
    assert plan.grown(1e6).volume_ml == MAX_VOLUME_ML


def test_every_place_named_is_known():
    for classes in FREQUENCIES.values():
        assert set(classes) == set(CLASSES)
        for places in classes.values():
            assert set(places) <= set(PLACES)
