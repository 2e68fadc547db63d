"""Laws of the page's pictures: place, outline, letters, lines, mosaics and surfaces."""

import base64
import io
import re

import numpy as np
import pytest
from make_case import diameters_of
from PIL import Image

from helper import ODD_AFFINES, TUMOUR_RADIUS_MM, blob_brain, make_affine
from plgg.core.volume import Volume, apply_affine
from plgg.report.case import view as view_module
from plgg.report.case.pictures import (
    acquired_plane,
    columns,
    grey_image,
    map_image,
    mask_image,
    mosaic,
    outline_path,
    slice_picture,
    spaced,
    strip_of,
)
from plgg.report.case.surface import make_scene, smooth_surface, surface_net
from plgg.report.case.view import AXES, Prediction, direction, edges, make_scan_view, tilt_degrees

BALL_ML = 4 / 3 * np.pi * TUMOUR_RADIUS_MM**3 / 1000


def laid(grid):
    """A brain on one of the odd grids, as shown, and its native mask."""
    scan, mask = blob_brain(affine=ODD_AFFINES[grid])
    probability = mask.with_data(mask.data.astype(np.float32))
    return make_scan_view(scan, Prediction(mask, probability, None)), mask


def inside_of(path, shape):
    """The mask that an outline encloses: an odd number of upright edges lies to its left."""
    edges_ = np.zeros((shape[0], shape[1] + 1), dtype=int)
    for column, top, bottom in re.findall(r"M(\d+) (\d+)V(\d+)", path):
        edges_[int(top) : int(bottom), int(column)] += 1
    return np.cumsum(edges_, axis=1)[:, :-1] % 2 == 1


def pixels(uri):
    """What a browser would decode."""
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"))


@pytest.mark.parametrize("grid", ODD_AFFINES)
def test_the_tumour_lies_on_the_patients_side_of_every_picture(grid):
    # The phantom's tumour is to the right of, before and above the centre.
    shown, mask = laid(grid)
    brain = np.argwhere(shown.grey > 20).mean(axis=0)
    tumour = np.argwhere(shown.mask).mean(axis=0)
    assert (tumour < brain).all()
    # It is brighter than the brain, so greys and mask were turned alike.
    assert shown.grey[shown.mask].min() > np.percentile(shown.grey[shown.grey > 20], 90)
    for plane, (_, column, row) in AXES.items():
        letters = edges(shown.affine, columns=column, rows=row)
        assert letters.left[0] == ("A" if plane == "sagittal" else "R")
        assert letters.top[0] == ("A" if plane == "axial" else "S")
    world = apply_affine(mask.affine, np.argwhere(mask.data).mean(axis=0))
    np.testing.assert_allclose(apply_affine(shown.affine, tumour), world, atol=1e-6)
    assert shown.mask.sum() == mask.data.sum()


@pytest.mark.parametrize("grid", ODD_AFFINES)
def test_slices_are_named_by_the_files_own_index(grid):
    shown, mask = laid(grid)
    for axis in range(3):
        across = int(np.argmax(np.abs(shown.native[:3, axis])))
        for position in (0, shown.centre[axis]):
            index = shown.native_index(axis, position)
            ours = shown.mask.take(position, axis=axis).sum()
            assert ours == mask.data.take(index, axis=across).sum()


@pytest.mark.parametrize("grid", ["ras", "coronal", "thick", "oblique-lps"])
def test_stills_have_true_aspect_and_the_outline_of_the_mask(grid):
    shown, _ = laid(grid)
    for plane, (across, column, row) in AXES.items():
        drawn = slice_picture(shown, plane, shown.centre[across])
        size = np.array(shown.mask.shape) * shown.spacing_mm
        assert (drawn.width_mm, drawn.height_mm) == pytest.approx((size[column], size[row]), 1e-3)
        mask = shown.mask.take(shown.centre[across], axis=across).T
        np.testing.assert_array_equal(inside_of(drawn.outline, mask.shape), mask)
        assert pixels(drawn.image).shape == mask.shape


def test_an_outline_runs_along_the_pixels_edges():
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 1:3] = True
    assert outline_path(mask) == "M1 1V2M3 1V2M1 1H3M1 2H3"
    random = np.random.default_rng(0).random((17, 23)) > 0.5
    np.testing.assert_array_equal(inside_of(outline_path(random), random.shape), random)
    assert outline_path(np.zeros((4, 4), dtype=bool)) == ""


@pytest.mark.parametrize(
    ("vector", "letters"),
    [
        ((2, 0, 0), "R"),
        ((0, -3, 0), "P"),
        ((0, 0, 1), "S"),
        ((np.cos(np.pi / 6), 0, -np.sin(np.pi / 6)), "RI"),
        ((np.cos(np.pi / 18), np.sin(np.pi / 18), 0), "R"),
        ((-1, -2, 0), "PL"),
    ],
)
def test_directions_have_letters(vector, letters):
    assert direction(np.array(vector)) == letters


def test_the_tilt_of_an_oblique_scan_is_known():
    assert tilt_degrees(make_affine((1, 2, 3), turn_degrees=(0, 0, 20))) == pytest.approx(20)
    assert tilt_degrees(make_affine((1, 2, 3), axes="PSR")) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("grid", ODD_AFFINES)
def test_diameters_are_drawn_on_their_slice_with_their_length(grid):
    shown, mask = laid(grid)
    found = diameters_of(mask)
    strip = strip_of(shown, found)
    drawn = strip.stills[strip.measured]
    assert drawn.index == found.slice_index
    lengths = [np.hypot(x2 - x1, y2 - y1) for x1, y1, x2, y2 in drawn.lines]
    assert lengths == pytest.approx([found.largest_mm, found.perpendicular_mm], abs=0.05)
    assert sum(bool(one.lines) for one in strip.stills) == 1
    assert all(one.outline for one in strip.stills)


def test_without_diameters_the_strip_shows_the_scans_own_slices():
    shown, _ = laid("coronal")
    assert acquired_plane(shown) == strip_of(shown, None).plane == "coronal"
    assert acquired_plane(laid("ras")[0]) == "axial"
    assert strip_of(shown, None).measured is None


@pytest.mark.parametrize("keep", [None, 0, 57, 99, 150])
def test_spaced_slices_keep_both_ends_and_the_one_wanted(keep):
    chosen = spaced(list(range(100)), keep=keep)
    assert len(chosen) == 24
    assert chosen == sorted(set(chosen))
    assert keep is None or keep in chosen
    assert (chosen[0], chosen[-1]) == (0, 99) or keep == 150
    assert spaced([3, 4], keep=4) == [3, 4]
    assert spaced([], keep=None) == []


@pytest.mark.parametrize("shape", [(5, 4, 7), (9, 3, 1), (1, 1, 12)])
def test_the_viewer_finds_every_voxel_again(shape):
    volume = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    x, y, z = shape
    across = columns(shape)
    for image, error in ((map_image, 4), (mask_image, 0)):
        data = volume if error else volume > 128
        grid = pixels(image(mosaic(data)))
        # As the page's script takes it apart.
        tiles = [
            grid[n // across * y : (n // across + 1) * y, n % across * x : (n % across + 1) * x].T
            for n in range(z)
        ]
        found = np.stack(tiles, axis=2).astype(int)
        wanted = data.astype(int) * (1 if error else 255)
        assert np.abs(found - wanted).max() <= error


def test_greys_survive_their_compression():
    shown, _ = laid("ras")
    grid = mosaic(shown.grey)
    assert np.abs(pixels(grey_image(grid)).astype(int) - grid).mean() < 4


@pytest.mark.parametrize("grid", ODD_AFFINES)
def test_surfaces_are_closed_face_outward_and_hold_the_volume(grid):
    _, mask = laid(grid)
    net = smooth_surface(Volume(mask.data > 0, mask.affine), 2.0)
    a, b, c, d = (net.vertices[net.faces[:, n]] for n in range(4))
    signed = np.einsum("ij,ij", a, np.cross(b, c)) + np.einsum("ij,ij", a, np.cross(c, d))
    assert signed / 6000 == pytest.approx(BALL_ML, rel=0.15)
    forth = np.stack([net.faces, np.roll(net.faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    ours, theirs = ({tuple(e) for e in side.tolist()} for side in (forth, forth[:, ::-1]))
    assert ours == theirs


def test_a_net_of_a_ball_lies_on_the_ball():
    points = np.indices((24, 24, 24)) - 11.5
    net = surface_net(8.0 - np.linalg.norm(points, axis=0), 0.0)
    radii = np.linalg.norm(net.vertices - 11.5, axis=1)
    assert np.abs(radii - 8.0).max() < 0.1


def test_the_scene_holds_head_and_tumour_around_its_centre():
    scene = make_scene(laid("ras")[0])
    for mesh in (scene.head, scene.tumour):
        points = np.frombuffer(base64.b64decode(mesh.points), "<i2").reshape(-1, 3) / 10
        faces = np.frombuffer(base64.b64decode(mesh.faces), "<u2")
        assert faces.max() == len(points) - 1
        assert np.linalg.norm(points, axis=1).max() <= scene.radius_mm + 0.2
    head = np.frombuffer(base64.b64decode(scene.head.points), "<i2").reshape(-1, 3) / 10
    assert np.ptp(head, axis=0) == pytest.approx((124, 156, 116), abs=9)


def test_large_scans_are_shown_at_half_resolution_in_the_same_place(monkeypatch):
    whole, mask = laid("thick")
    monkeypatch.setattr(view_module, "_MOST_VOXELS", whole.mask.size // 3)
    small, _ = laid("thick")
    assert small.mask.size <= whole.mask.size / 3
    assert small.spacing_mm[2] == pytest.approx(whole.spacing_mm[2])
    world = apply_affine(mask.affine, np.argwhere(mask.data).mean(axis=0))
    found = apply_affine(small.affine, np.argwhere(small.mask).mean(axis=0))
    np.testing.assert_allclose(found, world, atol=1.5)
    for axis in range(3):
        across = int(np.argmax(np.abs(small.native[:3, axis])))
        assert 0 <= small.native_index(axis, small.centre[axis]) < mask.shape[across]


def test_a_scored_scan_with_dark_voxels_below_its_background_is_shown():
    scan, mask = blob_brain()
    brain = scan.data > 0
    scored = np.where(brain, (scan.data - 100.0) / 20.0, 0.0).astype(np.float32)
    shown = make_scan_view(Volume(scored, scan.affine), Prediction(mask, mask, mask))
    size = np.array(shown.grey.shape) * shown.spacing_mm
    assert (size > (124, 156, 116)).all()
    assert shown.uncertainty is not None
