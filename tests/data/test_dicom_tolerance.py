"""Rounded headers are read, wrong ones are refused, and what is said of them is true."""

import numpy as np
import pytest

from dicom_series import write_series
from helper import make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume, apply_affine
from plgg.data.dicom.geometry import tolerance_mm
from plgg.data.dicom.read import read_dicom

SHAPE = (12, 10, 24)
DATA = np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)


def grid(step, axes="LPS", turn=(0, 0, 0)):
    return make_affine((0.9, 0.9, step), axes=axes, turn_degrees=turn, shape=SHAPE)


def jittered(by, seed=0):
    random = np.random.default_rng(seed)

    def change(dataset, _):
        old = np.array(dataset.ImagePositionPatient, float)
        moved = old + random.uniform(-1, 1, 3) * by
        dataset.ImagePositionPatient = [f"{x:.8g}" for x in moved]

    return change


def refused(path):
    with pytest.raises(InputError) as caught:
        read_dicom(path)
    return str(caught.value)


GRIDS = {"axial": ("LPS", (0, 0, 0)), "oblique": ("PIR", (-9, 31, 12))}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("step", "by"), [(6.0, 0.09), (6.0, 0.15), (3.0, 0.09), (1.0, 0.09)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_positions_that_jitter_are_read_where_they_lie_on_the_whole(tmp_path, name, step, by, seed):
    axes, turn = GRIDS[name]
    volume = Volume(DATA, grid(step, axes, turn))
    write_series(tmp_path, volume, change=jittered(by, seed))
    found = read_dicom(tmp_path).volume
    assert found.shape == SHAPE
    np.testing.assert_array_equal(found.data[:, :, [0, -1]].sum(), DATA[:, :, [0, -1]].sum())
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in SHAPE])).reshape(3, -1).T
    gap = apply_affine(found.affine, corners)[:, None] - apply_affine(volume.affine, corners)
    assert np.linalg.norm(gap, axis=2).min(axis=1).max() < by


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_jitter_does_not_hide_a_missing_slice_nor_invent_one(tmp_path, seed):
    jitter = jittered((0.0, 0.0, 0.09), seed)
    change = lambda dataset, k: False if k in (3, 9, 10) else jitter(dataset, k)  # noqa: E731
    write_series(tmp_path, Volume(DATA, grid(6.0)), change=change)
    assert "3 slices are missing: 1 after slice 3, 2 after slice 8 (of 21, 6.0" in refused(tmp_path)


@pytest.mark.parametrize("by", np.linspace(0.2, 3.0, 8))
def test_uneven_is_called_uneven_and_nothing_is_said_to_be_missing(tmp_path, by):
    def change(dataset, k):
        if k == 7:
            position = np.array(dataset.ImagePositionPatient, float)
            dataset.ImagePositionPatient = [*position[:2], f"{position[2] + by:.8g}"]

    write_series(tmp_path, Volume(DATA, grid(6.0)), change=change)
    if by < tolerance_mm(6.0):
        assert read_dicom(tmp_path).volume.shape == SHAPE
    else:
        message = refused(tmp_path)
        assert "uneven" in message
        assert "missing" not in message


def test_the_tolerance_is_a_share_of_the_step_and_never_a_quarter_of_it():
    assert tolerance_mm(6.0) == pytest.approx(0.3)
    assert tolerance_mm(2.0) == 0.2
    assert tolerance_mm(0.4) == pytest.approx(0.1)


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_rounded_directions_are_unit_vectors_that_were_rounded(tmp_path, digits):
    def change(dataset, _):
        rounded = np.round(np.array(dataset.ImageOrientationPatient, float), digits)
        dataset.ImageOrientationPatient = [str(x) for x in rounded]

    volume = Volume(DATA, grid(3.0, "LPS", (0, 0, 20)))
    write_series(tmp_path, volume, change=change)
    spacing = read_dicom(tmp_path).volume.spacing_mm
    np.testing.assert_allclose(spacing, [0.9, 0.9, 3.0], atol=1e-6)


PLACELESS = {
    "directions of length 2": {"ImageOrientationPatient": [2, 0, 0, 0, 2, 0]},
    "no direction": {"ImageOrientationPatient": [0, 0, 0, 0, 1, 0]},
    "negative spacing": {"PixelSpacing": [-0.9, 0.9]},
    "no spacing": {"PixelSpacing": [0, 0.9]},
    "spacing of a micrometre": {"PixelSpacing": [0.001, 0.001]},
    "absurd spacing": {"PixelSpacing": ["1e30", "1e30"]},
    "not a number": {"ImagePositionPatient": ["NaN", "0", "0"]},
    "infinite": {"ImagePositionPatient": ["inf", "0", "0"]},
    "too far": {"ImagePositionPatient": ["1e300", "0", "0"]},
    "two numbers": {"ImagePositionPatient": [0, 0]},
    "missing": {"PixelSpacing": None},
}


@pytest.mark.parametrize("name", PLACELESS)
@pytest.mark.filterwarnings("ignore")
def test_places_that_cannot_be_are_called_impossible(tmp_path, name):
    write_series(tmp_path, Volume(DATA, grid(3.0)), tags=PLACELESS[name])
    assert "24 of 24 images do not say where they lie" in refused(tmp_path)
    assert "missing or impossible" in refused(tmp_path)


SPOILT = {
    "RGB": ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "colour images (RGB)"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour images (PALETTE COLOR)"),
    "three": ({"SamplesPerPixel": 3}, "colour images (3 values a pixel)"),
    "leak": ({"PhotometricInterpretation": "DOE^JANE"}, "images of an unknown kind"),
    "inverted": ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1: small values"),
    "slope 0": ({"RescaleSlope": 0}, "rescale its values by 0"),
    "slope nan": ({"RescaleSlope": "NaN"}, "by what is no number"),
    "intercept inf": ({"RescaleIntercept": "inf"}, "by what is no number"),
    "more bits than there are": ({"BitsStored": 24, "HighBit": 23}, "cannot be decoded"),
    "no bits": ({"BitsAllocated": None}, "cannot be decoded"),
    "no sign": ({"PixelRepresentation": None}, "cannot be decoded"),
    "other bits": ({"BitsAllocated": 32}, "cannot be decoded"),
    "highest bits": ({"BitsStored": 12, "HighBit": 15}, "(12 bits, the highest is 15)"),
    "no rows": ({"Rows": None}, "ends before its pixels"),
    "no times": ({"NumberOfFrames": 0}, None),
    "no number": ({"SeriesNumber": None}, None),
    "old": ({"PatientAge": "999Y"}, None),
}


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.filterwarnings("ignore")
def test_what_is_wrong_with_the_pixels_is_named(tmp_path, name):
    tags, said = SPOILT[name]
    write_series(tmp_path, Volume(DATA, grid(3.0)), tags=tags)
    if said is None:
        assert read_dicom(tmp_path).volume.shape == SHAPE
    else:
        assert said in refused(tmp_path)


def test_an_age_that_nobody_has_is_unknown(tmp_path):
    write_series(tmp_path, Volume(DATA, grid(3.0)), age="999Y")
    assert read_dicom(tmp_path).age_years is None


def test_bits_that_are_not_stored_are_no_part_of_the_value(tmp_path):
    data = (DATA % 4096).astype(np.uint16)
    tags = {"BitsStored": 12, "HighBit": 11}
    write_series(tmp_path, Volume(data | np.uint16(0xF000), grid(3.0)), tags=tags)
    found = read_dicom(tmp_path).volume.data
    assert sorted(found.ravel()) == sorted(data.ravel())
