"""Known answers about phantom images: contrast, cysts, decoys, noise, thick slices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plgg.core.volume import Volume, apply_affine
from plgg.data.atlas.grid import AFFINE, SHAPE
from plgg.data.atlas.template import template_map
from plgg.data.manifest import Case
from plgg.data.nifti.image import read_volume
from plgg.phantom.grid import Raster, box_shape, box_voxel, head_box
from plgg.phantom.head import Head, Tissue, draw_head, tissue
from plgg.phantom.patient import make_scan, plan_of
from plgg.phantom.plan import Plan
from plgg.phantom.scanner import SITES, acquire, n_thick_slices, thick_affine, thicken
from plgg.phantom.settings import Marker, phantom_settings
from plgg.phantom.signal import (
    Contrast,
    add_decoys,
    add_spots,
    add_tumour,
    draw_contrast,
    normal_signal,
)
from plgg.phantom.tumour import Tumour, make_tumour


@pytest.fixture(scope="module")
def head() -> Head:
    return draw_head(np.random.default_rng(0))


@pytest.fixture(scope="module")
def tissues(head: Head) -> Tissue:
    return tissue(head)


@pytest.fixture(scope="module")
def cystic() -> Plan:
    """A ball in the right cerebellum with one cyst in its middle."""
    plan = plan_of(phantom_settings(), 0, "BRAF_fusion", scan=0)
    return replace(
        plan,
        centre_mni_mm=np.array([26.0, -62.0, -36.0]),
        volume_ml=10.0,
        cysts=np.array([[0.0, 0.0, 0.0, 0.6]]),
        cyst_signal=0.1,
        brightness=0.5,
    )


@pytest.fixture(scope="module")
def tumour(head: Head, tissues: Tissue, cystic: Plan) -> Tumour:
    centre = head.patient_point(cystic.centre_mni_mm)
    return make_tumour(cystic, tissues, centre, np.random.default_rng(1))


def test_tissue_shares_sum_to_one_in_the_brain_only(tissues: Tissue):
    total = tissues.grey + tissues.white + tissues.fluid
    assert np.allclose(total[tissues.brain], 1.0, atol=1e-5)
    assert not total[~tissues.brain].any()


def test_flair_orders_fluid_white_grey(tissues: Tissue):
    rng = np.random.default_rng(0)
    signal = normal_signal(tissues, draw_contrast(rng, "child"), rng)
    image = acquire(signal, tissues.brain, SITES["child"][2], rng).astype(float)
    fluid, white, grey = (
        image[share > 0.9].mean() for share in (tissues.fluid, tissues.white, tissues.grey)
    )
    assert 1.5 * fluid < white
    assert 1.05 * white < grey
    assert not image[~tissues.brain].any()
    assert (image[tissues.brain] > 0).all()


def test_patient_point_undoes_the_deformation(head: Head):
    template = head.template_voxels()
    point = head.patient_point(np.array([20.0, -40.0, 10.0]))
    voxel = apply_affine(np.linalg.inv(AFFINE), point).round().astype(int)
    i, j, k = (int(v) - part.start for v, part in zip(voxel, head_box(), strict=True))
    back = apply_affine(template_map("t1").affine, template[:, i, j, k])
    assert np.linalg.norm(back - [20.0, -40.0, 10.0]) < 1.2  # up to half a voxel each way


def test_mass_effect_moves_tissue_outward(head: Head):
    centre = head.patient_point(np.array([20.0, -40.0, 10.0]))
    pushed = head.pushed(centre, radius_mm=15.0, push_mm=3.0)
    moved = pushed.template_voxels() - head.template_voxels()
    size = np.linalg.norm(moved, axis=0)
    assert 2.0 < size.max() < 4.5
    assert size[0, 0, 0] < 0.01


def test_tumour_has_its_volume_in_one_piece_of_brain(tumour: Tumour, tissues: Tissue, cystic: Plan):
    assert tumour.mask.sum() / 1000 == pytest.approx(cystic.volume_ml, rel=0.03)
    assert not (tumour.mask & ~tissues.brain[tumour.box]).any()


def test_cyst_is_dark_and_belongs_to_the_mask(tumour: Tumour, tissues: Tissue, cystic: Plan):
    contrast = Contrast(grey=1.2, fluid=0.3, patchiness=0.0)
    signal = normal_signal(tissues, contrast, np.random.default_rng(0))
    add_tumour(signal, tumour, cystic, contrast)
    cyst = tumour.cyst > 0.99
    assert 0.1 < cyst.sum() / tumour.mask.sum() < 0.5
    assert tumour.mask[cyst].all()
    deep_solid = (tumour.depth_mm > 2) & (tumour.cyst == 0)
    here = signal[tumour.box]
    assert here[cyst].mean() < 0.6
    assert here[deep_solid].mean() > contrast.grey + 0.3


@pytest.mark.parametrize("infiltrates", [False, True])
def test_halo_is_bright_and_in_the_mask_only_where_it_is_tumour(
    head: Head, tissues: Tissue, cystic: Plan, infiltrates: bool
):
    plan = replace(cystic, cysts=np.zeros((0, 4)), rim=0.0, halo=0.5, infiltrates=infiltrates)
    found = _grown(plan, head, tissues)
    plain, painted = _before_and_after(found, plan, tissues)
    brighter = (painted - plain)[found.box]
    brain = tissues.brain[found.box]
    halo = (found.halo_mm > 1.5) & (found.depth_mm < -1.5) & brain
    core = found.depth_mm > 1.5
    assert (found.depth_mm > 0).sum() / 1000 == pytest.approx(plan.volume_ml, rel=0.03)
    # Wider by half is more than three times the volume, less what is too near a border here.
    assert halo.sum() > 0.5 * core.sum()
    assert 0.1 < brighter[halo].mean() < brighter[core].mean()
    assert found.mask[core].all()
    if infiltrates:
        assert found.mask[halo].all()
    else:
        assert not found.mask[halo].any()
    far = (found.halo_mm < -6.0) & brain
    assert brighter[far].max() < 0.02


def test_image_does_not_tell_whether_a_halo_is_tumour(head: Head, tissues: Tissue, cystic: Plan):
    wide = replace(cystic, volume_ml=20.0, halo=1.0, stretch=np.array([1.5, 0.8, 0.8]))
    oedema, infiltration = (
        _grown(replace(wide, infiltrates=infiltrates), head, tissues)
        for infiltrates in (False, True)
    )
    painted = [_before_and_after(one, wide, tissues)[1] for one in (oedema, infiltration)]
    np.testing.assert_array_equal(painted[0], painted[1])
    assert not (oedema.mask & ~infiltration.mask).any()
    assert infiltration.mask.sum() > 3 * oedema.mask.sum()
    # Not cut at the border of a box: only where the brain ends.
    assert oedema.halo_mm.shape == tissues.brain.shape


def _grown(plan: Plan, head: Head, tissues: Tissue) -> Tumour:
    centre = head.patient_point(plan.centre_mni_mm)
    return make_tumour(plan, tissues, centre, np.random.default_rng(1))


def _before_and_after(
    tumour: Tumour, plan: Plan, tissues: Tissue
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    contrast = Contrast(grey=1.2, fluid=0.3, patchiness=0.0)
    plain = normal_signal(tissues, contrast, np.random.default_rng(0))
    painted = plain.copy()
    add_tumour(painted, tumour, plan, contrast)
    return plain, painted


def test_shape_is_kept_as_it_grows(head: Head, tissues: Tissue, cystic: Plan, tumour: Tumour):
    centre = head.patient_point(cystic.centre_mni_mm)
    later = make_tumour(cystic.grown(1.5), tissues, centre, np.random.default_rng(1))
    before, after = (np.zeros(box_shape(), dtype=bool) for _ in range(2))
    before[tumour.box], after[later.box] = tumour.mask, later.mask
    assert (before & ~after).sum() < 0.01 * before.sum()


def test_decoys_brighten_little_and_only_the_brain(tissues: Tissue, head: Head):
    signal = np.zeros(box_shape(), dtype=np.float32)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        add_decoys(signal, tissues, head, population="adult", rng=rng)
    assert signal.min() >= 0
    assert 0 < (signal > 0.2).sum() < 20_000
    assert not signal[~tissues.brain].any()


@pytest.mark.parametrize("thickness", [1.0, 3.0, 4.0, 5.0])
def test_thick_slices_keep_extent_and_volume(cohort: tuple[Path, list[Case]], thickness: float):
    case = cohort[1][0]
    flair, mask = read_volume(case.flair), read_volume(case.mask)
    n_thick = n_thick_slices(SHAPE[2], thickness)
    image, tumour = thicken(flair.data.astype(np.int16), mask.data > 0, n_thick)
    thick = Volume(tumour, thick_affine(AFFINE, SHAPE[2], n_thick))
    edges = np.array([[-0.5, -0.5, -0.5], np.array(SHAPE) - 0.5])
    thick_edges = np.array([[-0.5, -0.5, -0.5], np.array(thick.shape) - 0.5])
    assert np.allclose(apply_affine(AFFINE, edges), apply_affine(thick.affine, thick_edges))
    assert thick.spacing_mm[2] == pytest.approx(thickness, rel=0.05)
    volume_ml = tumour.sum() * thick.voxel_volume_ml
    assert volume_ml == pytest.approx(mask.data.sum() / 1000, rel=0.05)
    assert not (tumour & (image == 0)).any()
    if n_thick == SHAPE[2]:
        assert np.array_equal(image, flair.data)
        assert np.array_equal(tumour, mask.data > 0)


def test_make_scan_in_thick_slices_of_an_adult():
    settings = phantom_settings(slice_thickness_mm=5.0, population="adult")
    flair, mask = make_scan(settings, 0, "other", scan=0)
    assert flair.shape == mask.shape == (240, 240, 31)
    assert (flair.data.dtype, mask.data.dtype) == (np.int16, np.uint8)
    assert np.allclose(flair.spacing_mm, [1, 1, 5])
    assert mask.data.any()


@pytest.mark.parametrize(
    ("marker", "place_mm"),
    [("BRAF_V600E", (15.0, -56.0, -35.0)), ("other", (21.0, -3.0, -2.0)), ("BRAF_fusion", None)],
)
def test_spots_lie_on_both_sides_where_their_class_has_them(
    head: Head, tissues: Tissue, marker: Marker, place_mm: tuple[float, float, float] | None
):
    signal = np.where(tissues.brain, 1.0, 0.0).astype(np.float32)
    before = signal.copy()
    add_spots(signal, tissues, head, marker=marker, rng=np.random.default_rng(0))
    added = signal - before
    if place_mm is None:
        assert not added.any()
        return
    for side in (1.0, -1.0):
        at = box_voxel(head.patient_point(np.array(place_mm) * (side, 1.0, 1.0)))
        near = tuple(slice(int(x) - 4, int(x) + 5) for x in at)
        assert added[near].min() < -0.3
    assert added.max() <= 0.0
    assert (added < -0.3).sum() < 8000


@pytest.mark.parametrize("spacing_mm", [1.5, 2.0, 3.0])
def test_coarse_voxels_show_the_same_patient_in_the_same_place(spacing_mm: float):
    fine, fine_mask = make_scan(phantom_settings(), 0, "BRAF_V600E", scan=0)
    settings = phantom_settings(spacing_mm=spacing_mm)
    flair, mask = make_scan(settings, 0, "BRAF_V600E", scan=0)
    assert flair.shape == mask.shape == tuple(int(np.ceil(n / spacing_mm)) for n in SHAPE)
    assert np.array_equal(flair.affine, mask.affine)
    # The corner of the field of view stays where it is, and the axes are the atlas'.
    corner = np.array([-0.5, -0.5, -0.5])
    assert np.allclose(apply_affine(flair.affine, corner), apply_affine(AFFINE, corner))
    assert np.allclose(flair.affine[:3, :3], AFFINE[:3, :3] * spacing_mm)
    centre, fine_centre = (
        apply_affine(m.affine, np.argwhere(m.data)).mean(axis=0) for m in (mask, fine_mask)
    )
    assert np.abs(centre - fine_centre).max() < 0.5 * spacing_mm
    volume_ml = mask.data.sum() * mask.voxel_volume_ml
    assert volume_ml == pytest.approx(fine_mask.data.sum() / 1000, rel=0.1)
    # Voxel by voxel: what lies at the same point of the world looks the same.
    voxels = np.argwhere(flair.data > 0)
    at = apply_affine(np.linalg.inv(AFFINE) @ flair.affine, voxels).round().astype(int)
    inside = (at < SHAPE).all(axis=1)
    there = fine.data[tuple(at[inside].T)].astype(float)
    here = flair.data[tuple(voxels[inside].T)].astype(float)
    assert np.corrcoef(here, there)[0, 1] > 0.8
    assert np.mean(there > 0) > 0.97
    assert np.mean(fine_mask.data[tuple(at[inside].T)] == mask.data[tuple(voxels[inside].T)]) > 0.99


def test_thick_slices_of_coarse_voxels():
    settings = phantom_settings(spacing_mm=2.0, slice_thickness_mm=4.0)
    flair, _ = make_scan(settings, 0, "other", scan=0)
    assert flair.shape == (120, 120, 39)
    assert np.allclose(flair.spacing_mm, [2, 2, 4])


def test_noise_of_a_coarse_voxel_is_that_of_a_mean():
    site = SITES["child"][2]
    found = []
    for raster in (Raster(), Raster(2.0)):
        brain = np.ones(raster.box_shape, dtype=bool)
        signal = np.ones(raster.box_shape, dtype=np.float32)
        quiet = replace(site, shading=0.0)
        image = acquire(signal, brain, quiet, np.random.default_rng(0), raster)
        found.append(image.std() / image.mean())
    assert found[1] == pytest.approx(found[0] / 8**0.5, rel=0.02)


def test_wide_spots(head: Head, tissues: Tissue):
    dark = []
    for width in (1.0, 2.0):
        signal = np.where(tissues.brain, 1.0, 0.0).astype(np.float32)
        rng = np.random.default_rng(0)
        add_spots(signal, tissues, head, marker="other", width=width, rng=rng)
        dark.append(np.sum(tissues.brain & (signal < 0.7)))
    assert dark[1] > 3 * dark[0]
