"""A scan's own slices as the grid: left, back and top, one to one through the plane, and back."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from phantoms import GRIDS

from helper import TUMOUR_CENTRE_MM, blob_brain, make_affine
from plgg.config import GridConfig
from plgg.core.placement import Placement, as_rows
from plgg.core.progress import Clock
from plgg.core.volume import Volume, apply_affine, inverse, spacing_mm
from plgg.data.store_arrays import OUTSIDE, decode
from plgg.metrics.overlap import hard_dice
from plgg.preprocess.assessment import ScanAssessment
from plgg.preprocess.brain_extraction import BrainExtraction
from plgg.preprocess.grid import MATRIX, slices_grid, sri24_grid
from plgg.preprocess.normalise import MovedSequence, normalise_scan, restore
from plgg.preprocess.pipeline import ResamplingTarget, resample_scan
from plgg.preprocess.registration.start import AtlasPosition, centred
from plgg.preprocess.registration.turns import cube_turns

LEAST_MM = 2.5
FREE = 2
# To the patient's left, back and top in a world that runs right, front and top.
LEFT_BACK_TOP = np.diag([-1.0, -1.0, 1.0])
ORDERS = [
    np.array(list(zip(order, flips, strict=True)), dtype=float)
    for order in permutations(range(3))
    for flips in product((1, -1), repeat=3)
]


def wide(spacing, **turned):
    """A grid of about 176 mm along each axis."""
    shape = tuple(int(np.ceil(176.0 / step)) for step in spacing)
    return shape, make_affine(spacing, shape=shape, **turned)


SCANS = GRIDS | {
    # Slices that must be joined: by 2, by 5; and ones that are just far enough apart.
    "thin": wide((3.0, 3.0, 1.2)),
    "thinnest-oblique": wide((4.0, 3.0, 0.5), axes="RPS", turn_degrees=(8.0, 5.0, -12.0)),
    "at-the-limit": wide((3.0, 4.0, 2.5), axes="LAI"),
}

# Turns, scales and shears: as a registration to an atlas may.
TO_ATLAS = np.array(
    [[1.05, 0.2, -0.1, 30.0], [-0.15, 0.95, 0.05, -12.0], [0.1, 0.02, 1.1, 7.5], [0, 0, 0, 1]]
)


def laid(flair, mask, *, to_atlas=TO_ATLAS, least_mm=LEAST_MM, others=None):
    """A stripped scan on its own slices, as the pipeline would lay it."""
    brain = flair.data != 0
    grid = slices_grid(flair.with_data(brain), least_mm)
    return normalise_scan(flair, mask, grid, AtlasPosition(brain, to_atlas, "test"), others)


def turned(volume, order):
    """The same image with its axes in another order and direction, by nibabel."""
    image = nib.Nifti1Image(volume.data, volume.affine).as_reoriented(order)
    return Volume(np.ascontiguousarray(image.dataobj), image.affine)


@pytest.fixture(scope="module", params=list(SCANS))
def scan(request):
    """A brain with a tumour, and the same on its own slices."""
    flair, mask = blob_brain(*SCANS[request.param])
    return flair, mask, laid(flair, mask)


def steps(prepared, flair):
    """Columns: the step of each axis of the box, in mm of the scan's world."""
    return (flair.affine @ prepared.placement.native_from_box())[:3, :3]


def slice_axis(prepared):
    """Which native axis the slices lie along, and how many native slices each joins, signed."""
    column = prepared.placement.native_from_box()[:3, 2]
    axis = int(np.abs(column).argmax())
    return axis, column[axis]


# ---- Axes ----


def test_axes_run_to_the_left_the_back_and_the_top(scan):
    flair, _, prepared = scan
    box = steps(prepared, flair)
    box = box / np.linalg.norm(box, axis=0)
    native = flair.affine[:3, :3] / flair.spacing_mm
    for axis in range(3):
        wanted = LEFT_BACK_TOP[axis]
        assert box[:, axis] @ wanted == pytest.approx(np.abs(wanted @ native).max())


def test_axes_are_the_scans_own(scan):
    """A permutation with signs and factors: nothing is turned, and no axis taken twice."""
    _, _, prepared = scan
    linear = prepared.placement.native_from_box()[:3, :3]
    assert (np.count_nonzero(np.abs(linear) > 1e-9, axis=0) == 1).all()
    assert (np.count_nonzero(np.abs(linear) > 1e-9, axis=1) == 1).all()


def test_handedness_is_that_of_the_head(scan):
    flair, _, prepared = scan
    assert np.linalg.det(steps(prepared, flair)) > 0


def test_the_tumour_lies_where_it_is_in_the_head(scan):
    """To the right of, before and above the centre, so at low, low and high indices."""
    _, _, prepared = scan
    brain = np.argwhere(prepared.image != OUTSIDE).mean(axis=0)
    tumour = np.argwhere(prepared.mask).mean(axis=0)
    assert (np.sign(tumour - brain) == (-1, -1, 1)).all()


# ---- Slices and pixels ----


def test_the_shape_is_the_matrix_and_the_slices_of_the_brain(scan):
    flair, _, prepared = scan
    axis, joined = slice_axis(prepared)
    there = np.flatnonzero((flair.data != 0).any(axis=tuple({0, 1, 2} - {axis})))
    extent = there[-1] - there[0] + 1
    assert MATRIX == (112, 144)
    assert prepared.image.shape == prepared.mask.shape
    assert prepared.image.shape == (*MATRIX, -(-extent // round(abs(joined))))


def test_slices_are_native_ones_or_whole_numbers_of_them(scan):
    flair, _, prepared = scan
    axis, joined = slice_axis(prepared)
    spacing = flair.spacing_mm[axis]
    assert abs(joined) == pytest.approx(max(1, round(LEAST_MM / spacing)))
    if spacing < LEAST_MM:
        return
    places = np.array([[0, 0, k] for k in range(prepared.image.shape[2])])
    native = apply_affine(prepared.placement.native_from_box(), places)[:, axis]
    np.testing.assert_allclose(native, np.round(native), atol=1e-9)
    there = np.flatnonzero((flair.data != 0).any(axis=tuple({0, 1, 2} - {axis})))
    assert sorted(np.round(native).astype(int)) == list(range(there[0], there[-1] + 1))


def test_a_native_slice_holds_what_it_held():
    """A brain whose intensity is its slice's number: no slice borrows from its neighbours."""
    shape, affine = wide((2.0, 2.0, 5.0), axes="LPI")
    flair, _ = blob_brain(shape, affine)
    number = np.where(flair.data != 0, np.arange(1.0, shape[2] + 1), 0).astype(np.float32)
    prepared = laid(flair.with_data(number), None)
    inside = prepared.image != OUTSIDE
    values = np.argwhere(inside)
    native = apply_affine(prepared.placement.native_from_box(), values)[:, 2] + 1
    expected = (native - native.mean()) / native.std()
    assert np.abs(decode(prepared.image)[inside] - expected).max() < 0.03


@pytest.mark.parametrize(
    ("slice_mm", "least_mm", "joined"),
    [(5.0, 2.5, 1), (2.5, 2.5, 1), (1.25, 2.5, 2), (1.2, 2.5, 2), (0.5, 2.5, 5), (0.9, 2.5, 3)],
)
def test_how_many_slices_are_joined(slice_mm, least_mm, joined):
    shape = (20, 20, 40)
    brain = np.zeros(shape, bool)
    brain[5:15, 4:16, 3:34] = True
    grid = slices_grid(Volume(brain, make_affine((4.0, 4.0, slice_mm), shape=shape)), least_mm)
    assert spacing_mm(grid.affine)[2] == pytest.approx(joined * slice_mm)
    assert grid.shape[2] == -(-31 // joined)
    assert grid.along_scan


def test_pixels_are_square_in_mm(scan):
    flair, _, prepared = scan
    width, depth, _ = np.linalg.norm(steps(prepared, flair), axis=0)
    assert width == pytest.approx(depth)


def test_the_whole_brain_lies_in_the_box_and_fills_it(scan):
    flair, _, prepared = scan
    where = np.argwhere(flair.data != 0)
    ends = [where[:, None] + half for half in product((-0.5, 0.5), repeat=3)]
    box = apply_affine(prepared.placement.box_from_native(), np.concatenate(ends).reshape(-1, 3))
    low, high = box.min(axis=0) + 0.5, np.array(prepared.image.shape) - 0.5 - box.max(axis=0)
    assert (low[:2] >= FREE - 1e-6).all()
    assert (high[:2] >= FREE - 1e-6).all()
    # One of the two sides is filled, and the brain is in the middle of both.
    assert min(low[:2]) == pytest.approx(FREE)
    np.testing.assert_allclose(low[:2], high[:2], atol=1e-6)
    # Through the plane less than one joined slice is empty.
    assert low[2] >= -1e-6
    assert high[2] >= -1e-6
    assert low[2] + high[2] < 1.0


def test_the_rim_of_the_box_is_outside(scan):
    inside = scan[2].image != OUTSIDE
    assert not inside[:FREE].any()
    assert not inside[-FREE:].any()
    assert not inside[:, :FREE].any()
    assert not inside[:, -FREE:].any()
    assert inside.any(axis=(0, 1)).mean() > 0.8


def test_the_brain_keeps_its_volume_and_its_z_scores(scan):
    flair, _, prepared = scan
    inside = prepared.image != OUTSIDE
    native_ml = np.count_nonzero(flair.data) * flair.voxel_volume_ml
    # Thick slices end in steps, and partial volumes at both ends count whole or not at all.
    found = np.count_nonzero(inside) * prepared.placement.box_voxel_ml
    assert found == pytest.approx(native_ml, rel=0.02)
    z_score = decode(prepared.image)[inside]
    assert abs(z_score.mean()) < 0.005
    assert z_score.std() == pytest.approx(1.0, abs=0.01)


# ---- There and back ----


def test_landmarks_return_to_their_voxel(scan):
    flair, _, prepared = scan
    placement = prepared.placement
    points = np.random.default_rng(0).uniform(0, np.array(flair.shape) - 1, (200, 3))
    box = apply_affine(placement.box_from_native(), points)
    assert np.abs(apply_affine(placement.native_from_box(), box) - points).max() < 1e-6
    # By the atlas' world, too.
    in_atlas = apply_affine(TO_ATLAS @ flair.affine, points)
    found = apply_affine(np.array(placement.box_affine), box)
    np.testing.assert_allclose(found, in_atlas, atol=1e-6)


def test_a_mask_comes_back(scan):
    flair, mask, prepared = scan
    back = restore(prepared.mask.astype(np.float32), prepared.placement)
    assert hard_dice(back.data >= 0.5, mask.data > 0) > 0.95
    assert back.shape == flair.shape
    np.testing.assert_array_equal(back.affine, flair.affine)
    assert (back.data.min(), back.data.max()) == (0.0, 1.0)


def test_a_brain_comes_back(scan):
    flair, _, prepared = scan
    back = restore((prepared.image != OUTSIDE).astype(np.float32), prepared.placement)
    assert hard_dice(back.data >= 0.5, flair.data != 0) > 0.97


def test_the_mask_lies_on_the_bright_ball(scan):
    _, mask, prepared = scan
    placement = prepared.placement
    where = np.argwhere(prepared.mask)
    world = apply_affine(np.array(placement.native_affine) @ placement.native_from_box(), where)
    middle = apply_affine(np.array(placement.native_affine), (np.array(mask.shape) - 1) / 2)
    assert np.abs(world.mean(axis=0) - middle - TUMOUR_CENTRE_MM).max() < 1.5
    bright = decode(prepared.image)
    assert bright[prepared.mask > 0].mean() > bright[prepared.image != OUTSIDE].mean() + 1.0


# ---- What must not matter ----

STORED = {
    "oblique": wide((3.0, 3.6, 5.0), turn_degrees=(12.0, -7.0, 20.0)),
    "thin-slices": wide((3.6, 3.0, 1.25), axes="LPS", turn_degrees=(4.0, -3.0, 6.0)),
}


@pytest.fixture(scope="module", params=list(STORED))
def straight(request):
    flair, mask = blob_brain(*STORED[request.param])
    return flair, mask, laid(flair, mask)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: str(order.astype(int).tolist()))
def test_how_the_head_is_stored_does_not_matter(straight, order):
    flair, mask, expected = straight
    found = laid(turned(flair, order), turned(mask, order))
    np.testing.assert_allclose(
        np.array(found.placement.box_affine), np.array(expected.placement.box_affine), atol=1e-6
    )
    assert found.image.shape == expected.image.shape
    rim = (found.image == OUTSIDE) != (expected.image == OUTSIDE)
    assert rim.mean() < 1e-3
    assert np.abs(found.image.astype(int) - expected.image)[~rim].max() <= 1
    assert np.mean(found.mask != expected.mask) < 1e-4


def test_the_way_to_the_atlas_does_not_matter(straight):
    flair, mask, expected = straight
    found = laid(flair, mask, to_atlas=np.eye(4))
    rim = (found.image == OUTSIDE) != (expected.image == OUTSIDE)
    assert rim.mean() < 1e-3
    assert np.abs(found.image.astype(int) - expected.image)[~rim].max() <= 1
    assert found.placement.slice_mm == pytest.approx(expected.placement.slice_mm)
    assert found.placement.box_voxel_ml == pytest.approx(expected.placement.box_voxel_ml)


def test_a_mirrored_head_is_mirrored_in_the_box():
    """Left and right are those of the world, not those of the array."""
    shape, affine = wide((3.0, 3.6, 5.0), axes="LSA")
    flair, mask = blob_brain(shape, affine)
    mirrored = np.diag([-1.0, 1.0, 1.0, 1.0]) @ affine
    one = laid(flair, mask)
    other = laid(Volume(flair.data, mirrored), Volume(mask.data, mirrored))
    assert np.mean(other.mask[::-1] != one.mask) < 1e-4
    assert np.abs(other.image[::-1].astype(int) - one.image).max() <= 1


def test_another_sequence_lies_on_the_same_slices(straight):
    """However it is stored: here as the reference itself, its axes turned about."""
    flair, mask, _ = straight
    order = ORDERS[29]
    shift = np.eye(4)
    shift[:3, 3] = (40.0, -25.0, 11.0)
    moved = turned(flair, order)
    moved = Volume(moved.data, shift @ moved.affine)
    prepared = laid(flair, mask, others={"t2": MovedSequence(moved, np.linalg.inv(shift))})
    other, image = prepared.others["t2"], prepared.image
    assert np.array_equal(other == OUTSIDE, image == OUTSIDE)
    # The reference is not darkened at its rim; deep inside, both are the same scan.
    deep = np.zeros(image.shape, bool)
    deep[30:-30, 40:-40, 6:-6] = True
    deep &= image != OUTSIDE
    slope, _ = np.polyfit(decode(image)[deep], decode(other)[deep], 1)
    assert np.corrcoef(decode(image)[deep], decode(other)[deep])[0, 1] > 0.999
    assert 0.5 < slope < 1.5


# ---- The pipeline's grid ----


def test_the_target_says_which_grid():
    flair, _ = blob_brain(*STORED["oblique"])
    brain = flair.data != 0
    stripped = BrainExtraction(brain, "none", "")

    def laid_on(grid, placed):
        target, found = ResamplingTarget(grid, n4=False), ScanAssessment(stripped, placed)
        return resample_scan(flair, None, found, target, atlas="", clock=Clock()).prepared.placement

    own = slices_grid(flair.with_data(brain), LEAST_MM)
    slices = GridConfig(kind="slices", spacing_mm=LEAST_MM)
    placement = laid_on(slices, AtlasPosition(brain, TO_ATLAS, "test"))
    assert placement.box_shape == own.shape
    np.testing.assert_allclose(placement.box_affine, TO_ATLAS @ own.affine)
    placement = laid_on(GridConfig(spacing_mm=4.0), centred(flair, sri24_grid(4.0)))
    steps = np.array(placement.box_affine)[:3, :3]
    np.testing.assert_allclose(steps, sri24_grid(4.0).affine[:3, :3])
    assert own.along_scan
    assert not sri24_grid(4.0).along_scan


@pytest.mark.parametrize("name", ["oblique", "thin"])
def test_a_head_that_its_header_turns_has_the_slices_that_it_has_upright(name):
    """In all 24 ways, and what is said of them goes back to the same voxels."""
    flair, _ = blob_brain(*(STORED | SCANS)[name])
    brain = flair.data != 0
    slices = ResamplingTarget(GridConfig(kind="slices", spacing_mm=LEAST_MM), n4=False)

    def laid_out(header):
        found = ScanAssessment(
            BrainExtraction(brain, "none", ""),
            AtlasPosition(brain, TO_ATLAS @ inverse(header), "test", turn=inverse(header)),
        )
        turned_scan = Volume(flair.data, header @ flair.affine)
        return resample_scan(turned_scan, None, found, slices, atlas="", clock=Clock()).prepared

    upright = laid_out(np.eye(4))
    for matrix in cube_turns():
        header = np.eye(4)
        header[:3, :3], header[:3, 3] = matrix, (12.0, -7.0, 3.0)
        prepared = laid_out(header)
        assert np.abs(prepared.image.astype(int) - upright.image).max() <= 1
        placement = prepared.placement
        np.testing.assert_allclose(placement.box_affine, upright.placement.box_affine, atol=1e-6)
        np.testing.assert_allclose(
            placement.native_from_box(), upright.placement.native_from_box(), atol=1e-6
        )


# ---- Sizes in the head, whatever the atlas' ----


def placement(native_affine, native_from_box, native_to_atlas):
    return Placement(
        native_shape=(10, 10, 10),
        native_affine=as_rows(native_affine),
        box_shape=(10, 10, 10),
        box_affine=as_rows(native_to_atlas @ native_affine @ native_from_box),
        native_to_atlas=as_rows(native_to_atlas),
        method="test",
    )


@pytest.mark.parametrize("to_atlas", [np.eye(4), TO_ATLAS, np.diag([2.0, 3.0, 0.5, 1.0])])
@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (20.0, -30.0, 40.0)])
def test_known_distances_and_volumes(to_atlas, turn):
    native = make_affine((0.5, 4.0, 2.0), axes="PIR", turn_degrees=turn, shape=(10, 10, 10))
    # Box axes 0, 1, 2 are native ones 2, 0, 1, of pixels of 1.5 mm, two slices joined.
    box = np.zeros((4, 4))
    box[2, 0], box[0, 1], box[1, 2], box[3, 3] = -0.75, 3.0, 2.0, 1.0
    box[:3, 3] = (1.0, 2.0, 3.0)
    found = placement(native, box, to_atlas)
    assert found.slice_mm == pytest.approx(8.0)
    assert found.box_voxel_ml == pytest.approx(1.5 * 1.5 * 8.0 / 1000.0)


def test_on_the_atlas_grid_sizes_are_of_the_head_too():
    """A head that is stretched to twice its size has voxels of half the side."""
    to_atlas = np.diag([2.0, 2.0, 2.0, 1.0])
    native, box = np.diag([1.0, 1.0, 1.0, 1.0]), np.diag([0.5, 0.5, 0.5, 1.0])
    found = placement(native, box, to_atlas)
    np.testing.assert_allclose(spacing_mm(np.array(found.box_affine)), 1.0)
    assert found.slice_mm == pytest.approx(0.5)
    assert found.box_voxel_ml == pytest.approx(0.125e-3)
