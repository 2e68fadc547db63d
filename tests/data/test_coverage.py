"""Too little of a head is told by the grid alone; every real scan has a wide margin."""

import nibabel as nib
import pytest

from plgg.data.budget import MIN_EXTENT_MM, MIN_SLICES, coverage_fault


@pytest.mark.parametrize(
    ("shape", "spacing", "said"),
    [
        ((256, 256, 2), (0.9, 0.9, 5.0), "covers 10 mm in 2 slices"),
        ((256, 256, 1), (0.9, 0.9, 5.0), "covers 5 mm in 1 slice,"),
        ((2, 256, 256), (5.0, 0.9, 0.9), "covers 10 mm in 2 slices"),
        ((256, 256, 7), (0.9, 0.9, 30.0), "covers 210 mm in 7 slices"),
        ((256, 256, 40), (0.9, 0.9, 1.0), "covers 40 mm in 40 slices"),
        ((256, 256, 40), (0.09, 0.09, 4.0), "covers 23 mm in 256 slices"),
    ],
)
def test_too_little_is_told_of_the_worst_axis(shape, spacing, said):
    assert said in coverage_fault(shape, spacing)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((256, 256, 20), (0.9375, 0.9375, 7.5)),
        ((240, 240, 155), (1.0, 1.0, 1.0)),
        ((160, 256, 256), (1.0, 0.9, 0.9)),
        ((128, 128, MIN_SLICES), (1.6, 1.6, MIN_EXTENT_MM / MIN_SLICES)),
    ],
)
def test_a_head_is_enough(shape, spacing):
    assert coverage_fault(shape, spacing) is None


@pytest.mark.real
def test_every_real_scan_covers_at_least_half_as_much_again(shared_data):
    """The DICOM samples of four slices aside: they are cut out of scans, and too little."""
    scans = [path for path in shared_data.rglob("*.nii.gz") if "dicom" not in path.parts]
    assert len(scans) > 100
    for path in scans:
        header = nib.load(path).header
        shape, spacing = header.get_data_shape()[:3], header.get_zooms()[:3]
        assert coverage_fault([n / 1.5 for n in shape], spacing) is None, path
    samples = list((shared_data / "dicom").rglob("*.nii.gz"))
    for path in samples:
        header = nib.load(path).header
        assert "in 4 slices" in coverage_fault(header.get_data_shape(), header.get_zooms())
