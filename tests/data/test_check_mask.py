"""One judgement of masks: labels with rounding, axes in another order, sizes that cannot be."""

import re
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, SHAPE, blob_brain, make_affine, write_csv, write_nifti
from plgg.core.errors import InputError
from plgg.core.masks import mask_labels
from plgg.core.volume import Volume, apply_affine, same_grid
from plgg.data.check.cohort import check_manifest
from plgg.data.check.mask import check_mask, inspect_mask, reorient_to_grid
from plgg.data.check.usable import require_usable, usable_mask
from plgg.data.manifest import read_manifest

ORIENTATIONS = [
    "".join(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in permutations(("RL", "AP", "SI"))
    for signs in product((0, 1), repeat=3)
]


def turned(volume, axes):
    """The same scan as nibabel writes it in another orientation: another hand than plgg's."""
    image = nib.Nifti1Image(volume.data, volume.affine)
    image = image.as_reoriented(
        nib.orientations.ornt_transform(
            nib.io_orientation(volume.affine), nib.orientations.axcodes2ornt(axes)
        )
    )
    return Volume(np.asarray(image.dataobj), image.affine)


def codes(findings):
    return [finding.code for finding in findings]


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PSR"])
@pytest.mark.parametrize("moved_mm", [0.0, 40.0])
def test_a_mask_is_never_turned_by_a_guess(tmp_path, axes, moved_mm):
    affine = make_affine((4.5, 4.5, 4.5), axes=axes)
    affine[:3, 3] += moved_mm
    flair, mask = blob_brain(affine=affine, seed=3)
    write_nifti(tmp_path / "f.nii", flair.data, affine)
    image = nib.Nifti1Image(mask.data, None)
    image.header.set_zooms((4.5, 4.5, 4.5))
    image.header["sform_code"] = image.header["qform_code"] = 0
    nib.save(image, tmp_path / "m.nii")
    report = check_manifest(
        write_csv(tmp_path / "m.csv", "patient_id,flair,mask", "P1,f.nii,m.nii")
    )
    (error,) = [one for one in report.findings if one.severity == "error"]
    assert error.code == "mask-grid"
    assert "turning it would be a guess" in error.message
    assert "copy the FLAIR's affine" in error.remedy


def test_a_flair_that_is_not_finite_has_no_background_for_its_mask_to_lie_in():
    flair, mask = blob_brain()
    bad = flair.with_data(np.where(flair.data == 0, np.inf, flair.data))
    assert check_mask(mask, bad).findings == ()
    np.testing.assert_array_equal(check_mask(mask, bad).labels.data, mask.data)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("axes", ORIENTATIONS)
@pytest.mark.parametrize("grid", ["ras", "sagittal", "oblique", "oblique-lps", "far"])
def test_a_mask_in_any_axis_order_is_turned_onto_its_flair_without_loss(axes, grid):
    flair, mask = blob_brain(affine=ODD_AFFINES[grid], seed=3)
    other = turned(mask, axes)
    judged = check_mask(other, flair)
    np.testing.assert_array_equal(judged.labels.data, mask.data)
    np.testing.assert_array_equal(judged.labels.affine, flair.affine)
    same = np.array_equal(other.affine, mask.affine)
    assert codes(judged.findings) == ([] if same else ["mask-turned"])


@pytest.mark.parametrize("degrees", [30.0, 44.9, 45.0, 45.1, 60.0])
def test_positions_decide_however_oblique(degrees):
    affine = make_affine((4.8, 5.0, 5.2), turn_degrees=(degrees, -degrees, degrees))
    flair, mask = blob_brain(affine=affine)
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        data, grid = mask.data, affine
        for axis in (axis for axis, sign in enumerate(signs) if sign < 0):
            data, grid = np.flip(data, axis), flipped_affine(grid, axis)
        other = Volume(data.transpose(order), grid[:, [*order, 3]])
        np.testing.assert_array_equal(reorient_to_grid(other, flair).data, mask.data)


def flipped_affine(affine, axis):
    flipped = affine.copy()
    flipped[:, 3] += affine[:, axis] * (SHAPE[axis] - 1)
    flipped[:, axis] *= -1
    return flipped


def test_a_voxel_keeps_its_place_when_it_is_turned():
    flair, mask = blob_brain(affine=ODD_AFFINES["oblique"])
    one = np.zeros(SHAPE, np.uint8)
    one[3, 30, 17] = 1
    other = turned(mask.with_data(one), "IRP")
    back = reorient_to_grid(other, flair)
    places = [apply_affine(each.affine, np.argwhere(each.data)[0]) for each in (other, back)]
    np.testing.assert_allclose(places[0], places[1], atol=1e-4)


def test_other_axes_at_another_place_are_never_told_to_copy_the_header():
    flair, mask = blob_brain()
    other = turned(mask, "LPS")
    away = other.affine.copy()
    away[:3, 3] += (0.0, 3.0, 4.0)
    (finding,) = inspect_mask(Volume(other.data, away), flair)
    assert (finding.code, finding.severity) == ("mask-grid", "error")
    assert "axes run LPS and its FLAIR's RAS" in finding.message
    assert "up to 5.0 mm away" in finding.message
    assert "Do not copy the FLAIR's header" in finding.remedy
    (finding,) = inspect_mask(Volume(mask.data, moved(mask.affine)), flair)
    assert "copy the FLAIR's affine" in finding.remedy


def moved(affine):
    away = affine.copy()
    away[2, 3] += 5.0
    return away


def test_other_axes_and_another_shape_are_both_said():
    flair, mask = blob_brain()
    other = turned(Volume(mask.data[:-1], mask.affine), "PIR")
    (finding,) = inspect_mask(other, flair)
    assert finding.code == "mask-shape"
    assert "40×32×35" in finding.message
    assert "36×40×32" in finding.message
    assert "PIR and RAS" in finding.message
    assert "copy" not in finding.remedy.casefold()


@pytest.fixture
def case_of(tmp_path):
    """Writes a FLAIR and a mask, and gives their manifest's row and path."""

    def write(mask, flair=None):
        brain = flair or blob_brain()[0]
        write_nifti(tmp_path / "f.nii.gz", brain.data, brain.affine)
        write_nifti(tmp_path / "m.nii.gz", mask.data, mask.affine)
        manifest = write_csv(
            tmp_path / "m.csv", "patient_id,flair,mask,marker", "P1,f.nii.gz,m.nii.gz,A"
        )
        (case,) = read_manifest(manifest)
        return case, manifest

    return write


def test_check_and_preprocessing_take_the_turned_mask(case_of):
    _, mask = blob_brain()
    case, manifest = case_of(turned(mask, "LPS"))
    used, labels = require_usable(case)
    assert same_grid(used, labels)
    np.testing.assert_array_equal(labels.data, mask.data)
    report = check_manifest(manifest)
    assert report.n_errors == 0
    assert "mask-turned" in codes(report.findings)
    assert report.cases[0].tumour_ml == pytest.approx(mask.data.sum() * mask.voxel_volume_ml)


def ball(radius_mm, spacing_mm=(4.5, 4.5, 4.5)):
    affine = make_affine(spacing_mm)
    flair, mask = blob_brain(affine=affine)
    points = apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    return flair, mask.with_data((np.linalg.norm(points, axis=-1) <= radius_mm).astype(np.uint8))


def impossible():
    flair, mask = blob_brain()
    rest = np.indices(SHAPE)[0] < 30
    small, inside = blob_brain(affine=make_affine((3.0, 3.0, 3.0)))
    return {
        "whole grid": (flair, mask.with_data(np.ones(SHAPE, np.uint8)), "no voxel .* is 0"),
        "labels 1 and 2": (flair, mask.with_data(mask.data + 1), "no voxel .* is 0"),
        "exchanged": (flair, mask.with_data(1 - mask.data), "covers 99% of the image"),
        "most of the grid": (flair, mask.with_data(rest.astype(np.uint8)), "covers 83% of the im"),
        "a litre": (*ball(64.0), r"holds 1,\d\d\d mL, and no brain tumour holds over 1,000 mL"),
        "the brain": (
            small,
            inside.with_data((small.data > 0).astype(np.uint8)),
            "covers 100% of the brain|of the image",
        ),
    }


@pytest.mark.parametrize("kind", impossible())
def test_an_impossible_mask_is_an_error_everywhere(case_of, kind):
    flair, mask, words = impossible()[kind]
    findings = [one for one in inspect_mask(mask, flair) if one.severity == "error"]
    assert codes(findings) == ["mask-impossible"]
    assert re.search(words, findings[0].message)
    case, manifest = case_of(mask, flair)
    report = check_manifest(manifest)
    assert "mask-impossible" in [one.code for one in report.findings if one.severity == "error"]
    with pytest.raises(InputError, match=words):
        require_usable(case)
    if kind != "the brain":
        with pytest.raises(InputError, match=words):
            usable_mask(case.mask, None)


@pytest.mark.parametrize("radius_mm", [18.0, 30.0, 45.0])
def test_a_large_tumour_is_possible(radius_mm):
    flair, mask = ball(radius_mm)
    assert [one for one in inspect_mask(mask, flair) if one.severity == "error"] == []


@pytest.mark.real
def test_real_tumours_keep_a_wide_margin_to_every_limit(shared_data):
    for case in read_manifest(shared_data / "tcga-lgg" / "manifest.csv")[::9]:
        flair, mask = require_usable(case)
        tumour = mask.data > 0
        assert tumour.mean() < 0.05
        assert tumour.sum() * mask.voxel_volume_ml < 333
        assert (tumour & (flair.data != 0)).sum() / (flair.data != 0).sum() < 0.2


@pytest.mark.parametrize(
    "stored",
    [
        [0, 0.9999999],
        [1e-7, 0.9999999],
        [0, 0.9999999, 3.0000458],
        [-1e-6, 1.0, 2.0002, 4],
        [0, 255],
    ],
)
def test_rounding_makes_no_fraction_and_no_tumour(case_of, stored):
    flair, mask = blob_brain()
    values = np.resize(np.array(stored[1:], np.float32), SHAPE)
    data = np.where(mask.data > 0, values, np.float32(stored[0]))
    case, _ = case_of(mask.with_data(data), flair)
    np.testing.assert_array_equal(require_usable(case)[1].data > 0, mask.data > 0)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ([0, 0.2, 0.7], "fractions"),
        ([0, 1, 1.01], "fractions"),
        ([0, -1], "negative values, down to -1"),
        ([0, -0.0005], "holds nothing but -0.0005"),
        ([0, np.nan, 1], "1 voxel that is NaN"),
        ([0, np.inf, 1], "1 voxel that is NaN or infinite"),
        (list(range(12)), "11 different values"),
        ([0, 1e-4, 2e-4], "nothing but 0.0001 and 0.0002"),
    ],
)
def test_what_is_no_mask_is_refused_for_its_own_reason(stored, words):
    with pytest.raises(InputError, match=words):
        mask_labels(np.array(stored, np.float32))


def test_a_single_value_is_a_mask_however_it_is_scaled():
    for value in (1, 255, 0.996, 1e-5):
        np.testing.assert_array_equal(
            mask_labels(np.array([0, value, 0])) > 0, [False, True, False]
        )
